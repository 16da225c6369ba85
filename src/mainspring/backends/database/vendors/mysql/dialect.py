"""MariaDB and MySQL: SKIP LOCKED, JSON_TABLE, and looking for work where nobody can be told."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final

from django.core.checks import CheckMessage
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error, OperationalError

from mainspring.backends.database.claims import Batch, Wanted
from mainspring.backends.database.skipping import ready_moments
from mainspring.backends.database.vendors.base import Between, Dialect, Row
from mainspring.backends.database.vendors.mysql import errors, inserting, looking, server
from mainspring.backends.database.vendors.mysql.choosing import Note
from mainspring.backends.database.vendors.mysql.claiming import Claims
from mainspring.backends.database.vendors.mysql.purging import Purging
from mainspring.backends.database.vendors.mysql.searches import Searches
from mainspring.backends.database.vendors.mysql.settling import in_base64, settle
from mainspring.backends.database.vendors.polling import Polling
from mainspring.backends.database.vendors.skipping_dialect import SkippingDialect
from mainspring.backends.transactions import Noted, as_rows
from mainspring.conf import Options
from mainspring.core import codec
from mainspring.core.jobs import Outcome

_TRIES: Final = 5
# Seconds between two looks for work: with 0.1, two idle processes take more than 1 % of a core.
_SLOWEST: Final = 0.2
_LONGEST_ID: Final = 32
_LONG: Final = 0.005  # seconds; a look that takes longer may be walking over dead entries

LOCK_WAIT: Final = 1
"""Seconds that a statement waits for locks of others. The rest of the worker waits with it.
This is the minimum in MySQL."""

# For many ids, MariaDB would make a table of them and read all rows of ours. MariaDB can also end
# the transaction of a process that is frozen or gone, so that others do not wait for its locks.
_TUNING: Final = (
    f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT} "
    "/*M! , in_predicate_conversion_threshold = 0, idle_transaction_timeout = 5 */"
)


class MySQLDialect(SkippingDialect):
    """MariaDB 10.6 and later, MySQL 8.0.17 and later."""

    vendor: ClassVar[str] = "mysql"
    most_groups: ClassVar[int] = 100  # each takes a statement or two

    # DDL and locks commit first; a BEGIN within a transaction does, too.
    ends_transaction: ClassVar[re.Pattern[str]] = re.compile(
        rf"{Dialect.ends_transaction.pattern}"
        r"|\s*((ALTER|RENAME|TRUNCATE|LOCK|UNLOCK|ANALYZE|OPTIMIZE|REPAIR|GRANT|REVOKE|FLUSH|RESET"
        r"|SET\s+(SESSION\s+|@@)?autocommit)|(CREATE|DROP)(?!\s+TEMPORARY))\b",
        re.IGNORECASE,
    )

    def __init__(self, connection: BaseDatabaseWrapper, backend: str, options: Options) -> None:
        super().__init__(connection, backend, options)
        self._settings = connection.settings_dict
        self._searches = Searches()
        self._claims = Claims(backend, options.order, self._skipping, self._searches)
        self._purging = Purging(backend, self._skipping, self._searches)
        self._polling = Polling(_SLOWEST)
        self._sessions = threading.local()
        self._product = "MySQL"
        self._longest_statement: int | None = None  # in bytes; None until it is known

    @property
    def identity(self) -> str:
        """The server, as the settings of this process name it, and the database."""
        host, port, name = (self._settings.get(key) or "" for key in ("HOST", "PORT", "NAME"))
        options = self._settings["OPTIONS"]
        others = options.get("unix_socket", ""), options.get("read_default_file", "")
        return f"mysql:{':'.join(others)}:{host}:{port}:{name}"

    def product(self, connection: BaseDatabaseWrapper) -> str:
        """Return whether the server is MariaDB or MySQL, if it answers."""
        with suppress(Error):
            self._product = connection.display_name
        return self._product

    def ids(self, ids: Sequence[str]) -> str:
        """Return ids as a JSON list, but for those that no job can have."""
        return codec.encode([job_id for job_id in dict.fromkeys(ids) if _is_id(job_id)]).decode()

    def found_ids(self, ids: Sequence[str]) -> Any:
        """Return a tuple, which the drivers expand to a list."""
        return tuple(ids)

    def check_server(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """Refuse servers that are too old and tables without transactions."""
        return server.problems(connection)

    # Connections

    def new_connection(self, connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        """Return a connection in autocommit, at READ COMMITTED whatever the project's has."""
        own = connection.copy()
        own.settings_dict["AUTOCOMMIT"] = True
        own.settings_dict["OPTIONS"] = {
            **{
                key: value
                for key, value in own.settings_dict["OPTIONS"].items()
                if key not in {"charset", "cursorclass"}
            },
            "isolation_level": "read committed",
        }
        own.inc_thread_sharing()
        return own

    @contextmanager
    def read(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Give a cursor, without a transaction."""
        connection.ensure_connection()
        with connection.make_cursor(connection.create_cursor()) as cursor:
            # Session settings are made again whenever Django has opened a new connection.
            if getattr(self._sessions, "of", None) is not connection.connection:
                server.require_version(connection)
                cursor.execute(_TUNING)
                cursor.execute("SELECT @@max_allowed_packet")
                ((self._longest_statement,),) = cursor.fetchall()
                self.product(connection)
                self._sessions.of = connection.connection
            yield cursor

    @contextmanager
    def write(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Run the block in a transaction."""
        with self.read(connection) as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(Error):
                    cursor.execute("ROLLBACK")
                raise

    # On the caller's connection

    def insert(self, connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
        """Insert jobs in the caller's transaction, all or none."""
        if len(rows) == 1 and not inserting.is_large(rows[0]):
            super().insert(connection, rows)
            return
        with transaction.atomic(self.alias), connection.cursor() as cursor:
            inserting.insert(cursor, rows)

    def insert_again(self, connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
        """Insert those of ``rows`` that are not there."""
        super().insert_again(connection, [inserting.with_base64(row) for row in rows])

    def lock_keys(self, cursor: Any, keys: str) -> Sequence[Row]:
        """Lock, then read: there is no INSERT that returns what it did not insert."""
        cursor.execute(self.sql("lock_keys"), (keys,))
        cursor.execute(self.sql("locked_keys"), (keys,))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def wait_briefly(self, cursor: Any) -> None:
        """Wait for a second, the least that there is."""
        cursor.execute(self.sql("wait_briefly"))

    def cancel(self, cursor: Any, job_id: str, now: int) -> Sequence[Row]:
        """Cancel, then read: there is no UPDATE that returns."""
        if not _is_id(job_id):
            return []
        cursor.execute(self.sql("cancel"), (now, job_id, self.backend))
        if not cursor.rowcount:
            return []
        cursor.execute(self.sql("cancelled"), (job_id,))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def retry(self, cursor: Any, ids: Sequence[str], now: int) -> None:
        """Join the table with the ids, which come first then."""
        cursor.execute(self.sql("retry_rows"), (self.ids(ids), now))

    # Dividing and merging

    def keep_calls(self, cursor: Any, arguments: bytes, job_id: str, claim: int | None) -> bool:
        """Write them in base64, however large they are."""
        cursor.execute(self.sql("keep_calls"), (in_base64(arguments), job_id, claim))
        return bool(cursor.rowcount)

    def add_jobs(self, cursor: Any, rows: Sequence[Row]) -> None:
        """Look which are there first, so that the drivers make one statement of many rows."""
        cursor.execute(self.sql("known_jobs"), (self.ids([row[0] for row in rows]),))
        known = {job_id for (job_id,) in cursor.fetchall()}
        inserting.insert(cursor, [row for row in rows if row[0] not in known])

    # Staging and admitting

    def texts(self, texts: Sequence[str]) -> Any:
        """Return a tuple, which the drivers expand to a list; an empty string avoids ``()``."""
        return ("", *texts)

    def stage(self, cursor: Any, due_from: int, now: int, most: int) -> int:
        """Choose due jobs, make them ready or held, and let the held ones wait for their limits."""
        cursor.execute(self.sql("due"), (self.backend, due_from, now, most))
        due = cursor.fetchall()
        if due:
            cursor.execute(self.sql("stage"), (tuple(job_id for job_id, _ in due),))
        if held := [job_id for job_id, has_limits in due if has_limits]:
            self.hold(cursor, held)
        return len(due)

    def held_groups(self, cursor: Any, after: str, most: int) -> set[str]:
        """Skip the rest of each group; with a single statement, MariaDB would read all jobs."""
        groups = set[str]()
        for _ in range(most):  # each query finds at least one more group
            cursor.execute(self.sql("held_groups"), (self.backend, after, most))
            found = [group for (group,) in cursor.fetchall()]
            groups.update(found)
            if len(found) < most or len(groups) >= most:
                break
            after = found[-1]
        return groups

    def holding(self, cursor: Any, groups: Sequence[str]) -> set[str]:
        """Query each group separately, for the same reason as :meth:`held_groups`."""
        return {group for group in groups if self._row(cursor, "holding", group)}

    def _row(self, cursor: Any, name: str, group: str) -> Row | None:
        cursor.execute(self.sql(name), (self.backend, group))
        row: Row | None = cursor.fetchone()
        return row

    def add_limits(self, cursor: Any, names: Sequence[str], now: int) -> None:
        """Add them, and lock those that are there: to lock for reading only, two could not."""
        cursor.executemany(self.sql("add_limit"), [(name, now) for name in sorted(names)])

    def save_limits(self, cursor: Any, limits: Sequence[tuple[str, bytes, int]]) -> None:
        """Write them."""
        rows = [(used, idle_at, name) for name, used, idle_at in limits]
        cursor.executemany(self.sql("save_limit"), rows)

    # Claiming and settling

    def find_locked(self, cursor: Any, ids: Sequence[str]) -> set[str]:
        """Try to lock the rows without waiting. Outside a transaction, the locks end at once."""
        wanted = (self.texts([job_id for job_id in ids if _is_id(job_id)]),)
        cursor.execute(self.sql("live_jobs"), wanted)
        there = {job_id for (job_id,) in cursor.fetchall()}
        cursor.execute(self.sql("lock_free"), wanted)
        return there.difference(job_id for (job_id,) in cursor.fetchall())

    def find_taken(self, cursor: Any, claims: Sequence[int]) -> Sequence[Row]:
        """Read without locks, because others may be settling neighboring rows."""
        cursor.execute(self.sql("doubtful"), (tuple(claims),))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def exchange(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        wanted: Wanted | None,
        between: Between | None = None,
    ) -> tuple[list[str], list[Batch]]:
        """Do both in one transaction, and retry all of it after a conflict with another one."""
        notes, begun = list[Note](), time.monotonic()
        for attempt in range(_TRIES):
            notes.clear()
            try:
                with self.write(connection) as cursor:
                    lost = self.settle(cursor, outcomes) if outcomes else []
                    if between is not None:
                        between(cursor, lambda lost=lost: not lost)  # type: ignore[misc]
                    batches = [] if wanted is None else self._claims.take(cursor, wanted, notes)
                break
            except OperationalError as error:
                is_stuck = self.is_locked_out(error)
                if attempt == _TRIES - 1 or is_stuck or not self.is_transient(error):
                    raise
        for note in notes:
            note()
        self._purging.count(len(outcomes), time.monotonic() - begun)
        if self._skipping.is_on:
            self.ready_again(ready_moments(outcomes))
        if batches:
            self._polling.found_work()
        return lost, batches

    def look(self, cursor: Any, soon: int) -> tuple[bool, str | None]:
        """Search only the spans that may have ready jobs."""
        walks, begun = self._skipping.look(), time.monotonic()
        if walks is None:
            found = super().look(cursor, soon)
        else:
            choosing = self._claims.choosing
            found = looking.look(self, cursor, soon, choosing, self._searches, walks)
        if time.monotonic() - begun > _LONG:
            self._purging.suspect()
        return found

    @property
    def may_need_vacuum(self) -> bool:
        """True if it may be worthwhile to find out whether the server's purge is behind."""
        return self._purging.may_be_due

    def vacuum(self, connection: BaseDatabaseWrapper) -> bool:
        """Find out whether the purge is behind. The server itself purges whatever it can."""
        with self.read(connection) as cursor:
            return self._purging.run(cursor)

    def settle(self, cursor: Any, outcomes: Sequence[Row]) -> list[str]:
        """Write all in one statement, unless they are large."""
        settled = settle(cursor, outcomes, self._longest_statement)
        return [] if settled == len(outcomes) else self.find_lost(cursor, outcomes)

    def settle_within(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        noted: Sequence[Noted],
    ) -> list[str]:
        """Limit the wait for locks as on our own connections, if the server supports this."""
        with (
            connection.wrap_database_errors,
            connection.make_cursor(connection.create_cursor()) as cursor,
        ):
            if noted:
                cursor.executemany(self.sql("save_metadata"), as_rows(noted))
            settled = settle(cursor, outcomes, self._longest_statement, is_guest=True)
            return [] if settled == len(outcomes) else self.find_lost(cursor, outcomes)

    # Trouble

    def explain(self, error: Exception) -> str:
        """Return one line for the errors that a healthy program can meet."""
        text = " ".join(str(error).split())
        name = f"The {self._product} database {self.alias!r}"
        if explanation := errors.explanation_of(error):
            return f"{name} {explanation} ({text})."
        return f"{name} raised {type(error).__name__}: {text}."

    def is_transient(self, error: Exception) -> bool:
        """Return True if two transactions conflicted."""
        return errors.is_collision(error)

    def is_locked_out(self, error: BaseException) -> bool:
        """Return True if ``innodb_lock_wait_timeout`` has passed."""
        return errors.is_lock_timeout(error)

    def is_refusal(self, error: Exception) -> bool:
        """Return True if a statement or value was too large, or a value did not fit its column."""
        return super().is_refusal(error) or errors.is_refusal(error)

    has_lost_connection = staticmethod(errors.is_lost)
    is_read_only = staticmethod(errors.is_read_only)

    # Waking

    def ready_again(self, moments: Iterable[int], are_ends: bool = False) -> None:
        """Search there again from now on, and once more after the commit: see :meth:`notify`."""
        found = list(moments)
        super().ready_again(found, are_ends)
        if found and self._skipping.is_on:
            self._searches.reopen(min(found))

    def notify(self, connection: BaseDatabaseWrapper) -> None:
        """Wake this process's own worker; the workers of other processes poll."""
        self._skipping.untold()  # others search their stretches again by themselves
        self._searches.reopen_pending()
        self._polling.notify()

    def forget_notifications(self) -> bool:
        """Take back a notification."""
        return self._polling.forget()

    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Look for work, less and less often."""
        return self._polling.wait(timeout, look)

    def interrupt(self) -> None:
        """End the wait of this process."""
        self._polling.interrupt()

    def close(self) -> None:
        """Close the pipes."""
        self._polling.close()


def _is_id(text: str) -> bool:
    # Others would be compared as something else than they are.
    return text.isascii() and text.isprintable() and " " not in text and len(text) <= _LONGEST_ID
