"""PostgreSQL: one round trip for settle and claim, COPY, LISTEN and NOTIFY."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Final, Literal

import psycopg
from django.core.checks import CheckMessage
from django.core.checks import Error as CheckError
from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error, InterfaceError
from psycopg import Connection, RawCursor
from psycopg.errors import LockNotAvailable, ReadOnlySqlTransaction, SerializationFailure
from psycopg.pq import Format

from mainspring.backends.database.claims import Batch, Wanted
from mainspring.backends.database.skipping import ready_moments
from mainspring.backends.database.vendors.base import Between, Row
from mainspring.backends.database.vendors.postgresql import looking, session, within
from mainspring.backends.database.vendors.postgresql.admitting import AdmittingDialect
from mainspring.backends.database.vendors.postgresql.copying import copy, copy_all
from mainspring.backends.database.vendors.postgresql.errors import explanation_of, is_refusal
from mainspring.backends.database.vendors.postgresql.exchange import (
    COLLISIONS,
    WORK,
    Exchange,
)
from mainspring.backends.database.vendors.postgresql.insert import Inserter
from mainspring.backends.database.vendors.postgresql.settling import (
    SETTLED,
    payload,
    settle,
    settle_again,
)
from mainspring.backends.database.vendors.postgresql.text import are_plain, array
from mainspring.backends.database.vendors.postgresql.vacuum import Vacuum
from mainspring.backends.database.vendors.postgresql.wakeup import Wakeup
from mainspring.backends.transactions import Noted
from mainspring.backends.wait_storage import Watch
from mainspring.conf import Options
from mainspring.core.jobs import PLAIN_COLUMNS, Outcome

_OLDEST: Final = 140000

# A network that swallows everything is noticed within 25 seconds, sooner than a lease ends, and not
# in a quarter of an hour or two hours, as the system would by itself.
_KEEPALIVE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_TRIES: Final = 5

# The live table is vacuumed after so many dead rows, not after a fifth of its own, and without
# pauses: its indexes stay short, whatever the backlog. Results come in order and go in order.
_STORAGE: Final = {
    "mainspring_job_live": (
        "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
        "autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, "
        "autovacuum_analyze_threshold = 50000, vacuum_truncate = off"
    ),
    "mainspring_held": (
        "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
        "autovacuum_vacuum_cost_delay = 0"
    ),
    "mainspring_job_finished": (
        "autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1"
    ),
}


class PostgresDialect(AdmittingDialect):
    """PostgreSQL 14 and later."""

    vendor: ClassVar[str] = "postgresql"

    def __init__(self, connection: BaseDatabaseWrapper, backend: str, options: Options) -> None:
        super().__init__(connection, backend, options)
        self._settings = connection.settings_dict
        self._may_listen = options.listen
        self._exchange = Exchange(backend, options.order, self._skipping)
        self._wakeup = Wakeup(
            lambda: self.new_connection(connection), backend, options.listen, self._skipping.heard
        )
        self._inserter = Inserter(backend, options.listen is not False, self._wakeup.may_notify)
        self._sessions = threading.local()
        self._vacuum = Vacuum(backend, self._skipping)

    @property
    def identity(self) -> str:
        """The server, the database and the schema, as the settings of this process name them."""
        return session.identity_of(self._settings)

    def ids(self, ids: Sequence[str]) -> Any:
        """Return ids as an array literal."""
        return array(list(ids))

    def check_server(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """Refuse servers that are too old."""
        connection.ensure_connection()
        old = _age(connection.connection, self.alias)
        return [CheckError(old, hint="Upgrade the server.", id="mainspring.E004")] if old else []

    @classmethod
    def prepare_database(cls, connection: BaseDatabaseWrapper) -> None:
        """Have the tables vacuumed as a queue needs it."""
        with connection.cursor() as cursor:
            for table, storage in _STORAGE.items():
                cursor.execute(f"ALTER TABLE IF EXISTS {table} SET ({storage})")

    # Connections

    def new_connection(self, connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        """Return a connection apart from the project's own pool, in autocommit."""
        own = connection.copy()
        own.settings_dict["OPTIONS"] = _KEEPALIVE | {
            key: value
            for key, value in own.settings_dict["OPTIONS"].items()
            if key not in {"pool", "server_side_binding", "isolation_level"}
        }
        own.settings_dict["AUTOCOMMIT"] = True
        own.inc_thread_sharing()
        return own

    @contextmanager
    def read(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Give a cursor that takes PostgreSQL's own placeholders."""
        with _wrapped(connection, RawCursor(self._session(connection))) as cursor:
            yield cursor

    @contextmanager
    def write(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Run the block in a transaction."""
        raw = self._session(connection)
        with (
            connection.wrap_database_errors,
            raw.transaction(),
            _wrapped(connection, RawCursor(raw)) as cursor,
        ):
            if self._sessions.is_pooled:
                session.tune_transaction(RawCursor(raw))
            yield cursor

    def _session(self, connection: BaseDatabaseWrapper) -> Connection[Any]:
        # What holds in a session is set again whenever Django has made a new one.
        connection.ensure_connection()
        raw: Connection[Any] = connection.connection
        if getattr(self._sessions, "of", None) is not raw:
            with connection.wrap_database_errors:
                if old := _age(raw, self.alias):
                    raise OperationalError(old)
                is_pooled = (
                    session.is_pooled(raw) if self._may_listen is None else not self._may_listen
                )
                if not is_pooled:
                    session.tune(raw)
            self._sessions.is_pooled = is_pooled
            self._sessions.of = raw
        return raw

    # Enqueueing

    def insert_at_once(self, connection: BaseDatabaseWrapper, row: Row) -> bool:
        """Insert and notify in one round trip, past Django's cursor, where nobody listens to it."""
        raw: Connection[Any] | None = connection.connection
        if (
            raw is None
            or connection.in_atomic_block
            or connection.queries_logged
            or connection.execute_wrappers
            or not connection.get_autocommit()
            or any(row[PLAIN_COLUMNS:])
        ):
            return False
        connection.ensure_connection()  # refuses to block an event loop
        return self._inserter.insert(raw, row[:PLAIN_COLUMNS])

    def insert(self, connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
        """Insert one job, or have many copied: both are one statement, in any transaction."""
        if len(rows) == 1:
            super().insert(connection, rows)
            return
        copy_all(connection, rows)

    def insert_as_made(
        self, connection: BaseDatabaseWrapper, batches: Iterator[Sequence[Row]]
    ) -> None:
        """Copy the first while the next are made, which takes as long as storing them."""
        first = next(batches, ())
        second = next(batches, None) if len(first) > 1 else None
        if second is None:
            if first:
                self.insert(connection, first)
            return
        # A call that cannot be made into a job must not break the caller's transaction.
        with transaction.atomic(self.alias) if connection.in_atomic_block else nullcontext():
            # Calls of one task, made the same way, are all plain or all not.
            copy(connection, chain((first, second), batches), are_plain(first))

    def lock_waiting(self, cursor: Any, ids: Sequence[str]) -> Sequence[Row]:
        """Lock what waits; again where a job has finished, and so moved, while it was waited for.

        In a savepoint, as that fails, and at READ COMMITTED the next look finds it gone.
        """
        for _ in range(_TRIES - 1):
            try:
                with transaction.atomic(self.alias):
                    return super().lock_waiting(cursor, ids)
            except OperationalError as error:
                if not isinstance(error.__cause__, SerializationFailure):
                    raise
        with transaction.atomic(self.alias):
            return super().lock_waiting(cursor, ids)

    @contextmanager
    def large_cursor(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Have bytes sent as they are, and not as text, which is twice as long.

        It takes PostgreSQL's own placeholders.
        """
        connection.ensure_connection()
        raw = RawCursor(connection.connection)
        raw.format = Format.BINARY
        with connection.wrap_database_errors, _wrapped(connection, raw) as cursor:
            yield cursor

    # Claiming and settling

    def find_locked(self, cursor: Any, ids: Sequence[str]) -> set[str]:
        """Try to lock the rows without waiting."""
        cursor.execute(self.sql("find_locked"), (self.ids(ids),))
        return {job_id for (job_id,) in cursor.fetchall()}

    def exchange(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        wanted: Wanted | None,
        between: Between | None = None,
    ) -> tuple[list[str], list[Batch]]:
        """Do both in one round trip, except for the queries of ``between``."""
        raw, begun = self._session(connection), time.monotonic()
        with connection.wrap_database_errors:
            lost, batches = self._exchange(raw, outcomes, wanted, self._sessions.is_pooled, between)
        self._vacuum.count(len(outcomes), time.monotonic() - begun)
        if self._skipping.is_on and (again := ready_moments(outcomes)):
            self._skipping.ready_again(again)
            self.notify(connection)
        if batches:
            self._wakeup.found_work()
        return lost, batches

    def settle(self, cursor: Any, outcomes: Sequence[Outcome]) -> list[str]:
        """Write all in one statement, and those that it missed in another."""
        return settle(cursor, outcomes)

    def look(self, cursor: Any, soon: int) -> tuple[bool, str | None]:
        """Search only the spans that may have ready jobs."""
        return looking.look(self, cursor, soon, self._skipping, self._vacuum.suspect)

    def conclude(self, connection: BaseDatabaseWrapper, savepoint: str) -> None:
        """Check deferred constraints as well."""
        within.conclude(connection, savepoint)

    def settle_within(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        noted: Sequence[Noted],
    ) -> list[str]:
        """Do it in one round trip, planned as on the workers' own connections."""
        settled = within.settle(connection, outcomes, noted)
        self._vacuum.count(len(outcomes))
        if settled == len(outcomes):
            return []
        with _wrapped(connection, RawCursor(connection.connection)) as cursor:
            return settle_again(cursor, outcomes)

    def transaction_state(
        self, connection: BaseDatabaseWrapper
    ) -> Literal["open", "failed", "ended"]:
        """Return what the server said with its last answer."""
        return within.state_of(connection)

    def stop_statement(self, connection: BaseDatabaseWrapper) -> None:
        """Have the server give up."""
        within.stop_statement(connection)

    @property
    def may_need_vacuum(self) -> bool:
        """True if it may be worthwhile to find out whether a vacuum is due."""
        return self._vacuum.may_be_due

    def vacuum(self, connection: BaseDatabaseWrapper) -> bool:
        """Vacuum the live table if it is due."""
        connection.ensure_connection()
        with connection.wrap_database_errors:
            return self._vacuum.run(connection.connection)

    # Trouble

    def explain(self, error: Exception) -> str:
        """Return one line for the errors that a healthy program can meet."""
        return explanation_of(error, self.alias)

    def is_transient(self, error: Exception) -> bool:
        """Return True if two transactions conflicted."""
        return isinstance(error.__cause__, COLLISIONS)

    def is_locked_out(self, error: BaseException) -> bool:
        """Return True if ``lock_timeout`` has passed."""
        return isinstance(error.__cause__, LockNotAvailable)

    def is_refusal(self, error: Exception) -> bool:
        """Return True if a limit of the server was exceeded, or a value is invalid for it."""
        return super().is_refusal(error) or is_refusal(error.__cause__)

    def has_lost_connection(self, error: Exception) -> bool:
        """Return True if the connection is lost, or leads to a server that is read-only."""
        return isinstance(error, OperationalError | InterfaceError) or self.is_read_only(error)

    def is_read_only(self, error: Exception) -> bool:
        """Return True for a standby, and for a former primary after a failover."""
        return isinstance(error.__cause__, ReadOnlySqlTransaction)

    # Waking

    def notify(self, connection: BaseDatabaseWrapper) -> None:
        """Notify, unless this process did within the last hundredth of a second."""
        if untold := self._skipping.untold():
            self._tell(connection, WORK, f"{self.backend}\n{untold}")
        elif self._wakeup.may_notify():
            self._tell(connection, WORK, self.backend)

    def tell_settled(self, connection: BaseDatabaseWrapper, ids: Sequence[str]) -> None:
        """Notify the callers that wait for these results."""
        if ids:
            self._tell(connection, SETTLED, payload(ids))

    def _tell(self, connection: BaseDatabaseWrapper, channel: str, told: str) -> None:
        # If this fails, all of them poll within a second.
        with suppress(Error, psycopg.Error):
            connection.ensure_connection()
            with connection.wrap_database_errors, RawCursor(connection.connection) as cursor:
                cursor.execute(self._notify, (channel, told), prepare=False)

    def forget_notifications(self) -> bool:
        """Take back a notification."""
        return self._wakeup.forget()

    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Wait for a notification."""
        return self._wakeup.wait(timeout, look)

    def interrupt(self) -> None:
        """End the wait of this process."""
        self._wakeup.interrupt()

    def watch(self, job_id: str, call: Callable[[], None]) -> Watch | None:
        """Listen for what workers settle."""
        return self._wakeup.watch(job_id, call)

    def close(self) -> None:
        """Stop listening."""
        self._wakeup.close()

    @cached_property
    def _notify(self) -> bytes:
        return self.sql("notify").encode()


def _wrapped(connection: BaseDatabaseWrapper, cursor: RawCursor[Any]) -> Any:
    # With Django's exceptions, and without its logging of queries.
    return connection.make_cursor(cursor)  # type: ignore[arg-type] # its stubs want their own kind


def _age(raw: Connection[Any], alias: str) -> str:
    # Return what is wrong with the server's version, or an empty string.
    if raw.info.server_version >= _OLDEST:
        return ""
    return (
        f"DATABASES[{alias!r}] is PostgreSQL {raw.info.server_version // 10000}; Mainspring needs "
        "14 or later."
    )
