"""What the storage needs of each database."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Literal

from django.core.checks import CheckMessage
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, TransactionManagementError

from mainspring.backends.database.claims import Batch, Wanted
from mainspring.backends.database.statements import statement
from mainspring.backends.database.stretches import LOWEST
from mainspring.backends.database.vendors.trouble import Trouble
from mainspring.backends.database.vendors.waking import Waking
from mainspring.backends.transactions import Noted, as_rows
from mainspring.conf import Options
from mainspring.core import codec
from mainspring.core.jobs import Outcome

Row = tuple[Any, ...]

type Between = Callable[[Any, Callable[[], bool]], None]
"""Gets a cursor, and what tells, after the next answer, whether all outcomes were settled."""


class Dialect(Waking, Trouble):
    """One database: its statements, its transactions, its ways to wake a worker.

    One for each backend alias and process.
    """

    vendor: ClassVar[str]
    gate: ClassVar[AbstractContextManager[None]] = nullcontext()
    """Context manager that a worker's threads enter to use its connections."""
    most_groups: ClassVar[int] = 200
    """Maximum number of limit groups from which one transaction admits jobs."""

    # Of statements that end a transaction or begin another: how they begin.
    ends_transaction: ClassVar[re.Pattern[str]] = re.compile(
        r"\s*(COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
        r"|ROLLBACK(?!\s+((WORK|TRANSACTION)\s+)?TO\b))\b",
        re.IGNORECASE,
    )

    def __init__(self, connection: BaseDatabaseWrapper, backend: str, options: Options) -> None:
        """``backend`` is the alias in ``TASKS`` that ``options`` are of."""
        self.alias = connection.alias
        self.backend = backend
        self.order = options.order

    def sql(self, name: str) -> str:
        """Return this database's statement of that name."""
        return statement(self.vendor, name)

    def ids(self, ids: Sequence[str]) -> Any:
        """Return ids as the one parameter that this database's statements take."""
        return codec.encode(list(ids)).decode()

    def found_ids(self, ids: Sequence[str]) -> Any:
        """Return ids that were read from our tables, as a parameter of statements on them."""
        return self.ids(ids)

    @property
    @abstractmethod
    def identity(self) -> str:
        """A string that is equal for two processes if, and only if, they use the same database."""

    def product(self, connection: BaseDatabaseWrapper) -> str:
        """Return the database's name for people, as far as it is known without asking it."""
        return connection.display_name

    def check(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """Return what in the database's settings stands in the way of many writers."""
        return []

    def check_server(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """Return what is wrong with the server; asks it, unlike :meth:`check`."""
        return []

    @classmethod
    def prepare_database(cls, connection: BaseDatabaseWrapper) -> None:
        """Make the database ready for many writers; lasting, harmless to repeat."""

    # Connections

    @abstractmethod
    def new_connection(self, connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        """Return a connection for a worker's own use, apart from Django's ``connection``."""

    @contextmanager
    def read(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Give a cursor on a worker's connection, without a transaction."""
        connection.ensure_connection()
        # Without Django's logging of queries, which cannot format these statements.
        with connection.make_cursor(connection.create_cursor()) as cursor:
            yield cursor

    def mark(self, connection: BaseDatabaseWrapper) -> object:
        """Return what stays equal until anybody writes to the database; None where none tells."""
        return None

    @abstractmethod
    def write(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """Run the block in one short write transaction on a worker's connection; give a cursor."""

    # Enqueueing, on the caller's connection

    def insert_at_once(self, connection: BaseDatabaseWrapper, row: Row) -> bool:
        """Insert one job with less ado than Django's cursor; outside a transaction, wake workers.

        False if that cannot be done just now: then nothing was, and a cursor will tell why.
        """
        return False

    def insert(self, connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
        """Insert jobs in the caller's transaction, all or none."""
        sql = self.sql("enqueue")
        if len(rows) == 1:
            with connection.cursor() as cursor:
                cursor.execute(sql, rows[0])
        else:
            with transaction.atomic(self.alias), connection.cursor() as cursor:
                cursor.executemany(sql, rows)

    def atomic(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """Return a transaction that writes much, or a savepoint where there is one already."""
        return transaction.atomic(self.alias)

    def insert_as_made(
        self, connection: BaseDatabaseWrapper, batches: Iterator[Sequence[Row]]
    ) -> None:
        """Insert jobs that are still being made in the caller's transaction, all or none."""
        self.insert(connection, [row for rows in batches for row in rows])

    def insert_again(self, connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
        """Insert those of ``rows`` that are not there, after an insertion without an answer."""
        with transaction.atomic(self.alias), connection.cursor() as cursor:
            for row in rows:
                cursor.execute(self.sql("enqueue_again"), (*row, row[0]))

    def lock_keys(self, cursor: Any, keys: str) -> Sequence[Row]:
        """Lock the rows of keys, new ones where there are none; return key, job_id, expires_at.

        ``keys`` is a JSON list of such rows as they are to be where they are new.
        """
        cursor.execute(self.sql("lock_keys"), (keys,))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def wait_briefly(self, cursor: Any) -> None:
        """Have a transaction, whose connection is closed then, not wait long for others' locks."""

    def lock_waiting(self, cursor: Any, ids: Sequence[str]) -> Sequence[Row]:
        """Lock and return, whole, those of these jobs that wait to start."""
        cursor.execute(self.sql("lock_waiting"), (self.ids(ids), self.backend))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def cancel(self, cursor: Any, job_id: str, now: int) -> Sequence[Row]:
        """Cancel one job that has not finished; no row if it has.

        Return its errors, its claim and its limit group.
        """
        cursor.execute(self.sql("cancel"), (now, job_id, self.backend))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def retry(self, cursor: Any, ids: Sequence[str], now: int) -> None:
        """Let failed jobs run again. Jobs with limits become held, but do not wait for them yet."""
        cursor.execute(self.sql("retry_rows"), (now, self.ids(ids)))

    # Dividing and merging, on a worker's connection

    def keep_calls(self, cursor: Any, arguments: bytes, job_id: str, claim: int | None) -> bool:
        """Write the arguments that a divided job keeps, if its claim still holds; whether it does.

        Whoever has the same claim waits for the end of the transaction.
        """
        cursor.execute(self.sql("keep_calls"), (arguments, job_id, claim))
        return bool(cursor.rowcount)

    def add_jobs(self, cursor: Any, rows: Sequence[Row]) -> None:
        """Insert those of ``rows`` that are not there; nobody else inserts them at this moment."""
        cursor.executemany(self.sql("add_job"), rows)

    def cursor(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """Give a cursor on a caller's connection."""
        return connection.cursor()

    def large_cursor(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """Give one for statements that bring many bytes."""
        return connection.cursor()

    # Staging and admitting, on a worker's connection

    def texts(self, texts: Sequence[str]) -> Any:
        """Return texts as the one parameter that this database's statements take."""
        return codec.encode(list(texts)).decode()

    @property
    def sign(self) -> int:
        """The factor for moments that gives the first job in the order the lowest value."""
        return -1 if self.order == "lifo" else 1

    @abstractmethod
    def stage(self, cursor: Any, due_from: int, now: int, most: int) -> int:
        """Make up to ``most`` due jobs ready or held; return their number.

        No deferred job is due before ``due_from``.
        """

    def hold(self, cursor: Any, ids: Sequence[str], is_own: bool = False) -> None:
        """Have stored jobs wait that are held; on the caller's connection or on our own."""
        cursor.execute(self.sql("hold"), (self.sign, self.ids(ids)))

    def lock_limits(self, cursor: Any, names: Sequence[str], is_alone: bool) -> Sequence[Row]:
        """Lock limits, without waiting long; return name and used of those that are there.

        ``is_alone``: the transaction does nothing but admit, and need not wait for the disk: it
        cannot be lost alone, as what is written later is on the disk after it.
        """
        cursor.execute(self.sql("lock_limits"), (self.texts(names),))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def held_groups(self, cursor: Any, after: str, most: int) -> set[str]:
        """Return the next limit groups that have waiting jobs, in the order of their texts."""
        cursor.execute(self.sql("held_groups"), (self.backend, after, most))
        return {group for (group,) in cursor.fetchall()}

    def holding(self, cursor: Any, groups: Sequence[str]) -> set[str]:
        """Return those of the given limit groups that have waiting jobs."""
        cursor.execute(self.sql("holding"), (self.backend, self.texts(groups)))
        return {group for (group,) in cursor.fetchall()}

    def first_held(
        self, cursor: Any, rooms: Mapping[str, int], paused: Sequence[str]
    ) -> Sequence[Row]:
        """Lock the first jobs of limit groups, of each as many as there is room for, in any order.

        Leaves out those of ``paused`` queues. Return id, limit_group, level, place.
        """
        rows: list[Row] = []
        for group, number in rooms.items():
            values = (self.backend, group, self.texts(paused), number)
            cursor.execute(self.sql("first_held"), values)
            rows += cursor.fetchall()
        return rows

    def longest_held(
        self, cursor: Any, groups: Sequence[str], paused: Sequence[str]
    ) -> Sequence[Row]:
        """Lock the job of each limit group that has waited longest; as :meth:`first_held`."""
        rows: list[Row] = []
        for group in groups:
            cursor.execute(self.sql("longest_held"), (self.backend, group, self.texts(paused)))
            rows += cursor.fetchall()
        return rows

    def admit(
        self, cursor: Any, ids: Sequence[str], limits: Sequence[tuple[str, bytes, int]]
    ) -> None:
        """Make jobs ready that were chosen, and so locked, in the same transaction.

        And do :meth:`save_limits`.
        """
        cursor.execute(self.sql("admit"), (self.texts(ids),))
        cursor.execute(self.sql("delete_admitted"), (self.texts(ids),))
        self.save_limits(cursor, limits)

    def add_limits(self, cursor: Any, names: Sequence[str], now: int) -> None:
        """Add missing limits, in the order of their names to avoid deadlocks."""
        cursor.execute(self.sql("add_limits"), (self.texts(names), now))

    def save_limits(self, cursor: Any, limits: Sequence[tuple[str, bytes, int]]) -> None:
        """Write limits that are locked: name, used, idle_at."""
        cursor.executemany(self.sql("save_limit"), limits)

    # Claiming and settling, on a worker's connection

    def find_locked(self, cursor: Any, ids: Sequence[str]) -> set[str]:
        """Return the ids of those jobs whose rows other transactions have locked."""
        return set()

    def find_taken(self, cursor: Any, claims: Sequence[int]) -> Sequence[Row]:
        """Return the jobs that some claims have taken: id, claim, available_at."""
        cursor.execute(self.sql("doubtful"), (codec.encode(claims).decode(),))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    @abstractmethod
    def exchange(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        wanted: Wanted | None,
        between: Between | None = None,
    ) -> tuple[list[str], list[Batch]]:
        """Settle and claim in one transaction.

        ``between`` is called between the two, again if the transaction is retried. Return the ids
        of outcomes whose claims no longer held, and the claimed rows. They are made into jobs
        later, when the database is free for others again.
        """

    @abstractmethod
    def settle(self, cursor: Any, outcomes: Sequence[Outcome]) -> list[str]:
        """Write outcomes whose claims hold; return the ids of the others."""

    def ready_again(self, moments: Iterable[int], are_ends: bool = False) -> None:
        """Record that jobs with these availability times are ready.

        With ``are_ends``, also all times between the first and the last.
        """

    def due_from(self) -> int:
        """Return the time before which no deferred job is due."""
        return LOWEST

    def none_due(self, due_from: int, next_at: int | None) -> None:
        """Record that no job is due from ``due_from`` until before ``next_at``, or ever if None."""

    def look(self, cursor: Any, soon: int) -> tuple[bool, str | None]:
        """Return whether any job is ready or due by ``soon``, and the id of the newest held job."""
        cursor.execute(self.sql("any_ready"), (self.backend, soon))
        is_any_ready, newest_held = cursor.fetchone()
        return bool(is_any_ready), newest_held

    def find_lost(self, cursor: Any, outcomes: Sequence[Row]) -> list[str]:
        """Return the ids of outcomes that are not stored.

        If a row already matches its outcome, we have stored it, and the answer was lost.
        """
        cursor.execute(self.sql("settled"), (self.ids([outcome[0] for outcome in outcomes]),))
        settled = {row[0]: row[1:] for row in cursor.fetchall()}
        return [
            outcome[0]
            for outcome in outcomes
            if settled.get(outcome[0]) != (outcome[2], outcome[3], outcome[5], outcome[7])
        ]

    # Transactions of atomic tasks, on Django's connection

    def begin(self, connection: BaseDatabaseWrapper, block: Atomic) -> None:
        """Enter ``block``, an outermost one, so that what follows can read and write."""
        block.__enter__()

    def end(self, connection: BaseDatabaseWrapper, block: Atomic) -> None:
        """Leave ``block``: commit, or roll back where that is asked for."""
        block.__exit__(None, None, None)

    def transaction_state(
        self, connection: BaseDatabaseWrapper
    ) -> Literal["open", "failed", "ended"]:
        """Return what became of a transaction, as far as that is known without asking."""
        return "open"

    def stop_statement(self, connection: BaseDatabaseWrapper) -> None:
        """Stop what the server still executes for a connection that is to be closed."""

    def conclude(self, connection: BaseDatabaseWrapper, savepoint: str) -> None:
        """Release the first savepoint, and check what waits for the end where that can be done.

        Raises ``TransactionManagementError`` if the savepoint is gone, and so the transaction that
        it was set in; and what a deferred constraint raises.
        """
        try:
            connection.savepoint_commit(savepoint)
        except DatabaseError as error:
            if self.has_lost_connection(error):
                raise
            raise TransactionManagementError(str(error)) from error

    def settle_within(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        noted: Sequence[Noted],
    ) -> list[str]:
        """Write metadata, and outcomes whose claims hold; return the ids of the others."""
        with (
            connection.wrap_database_errors,
            connection.make_cursor(connection.create_cursor()) as cursor,
        ):
            if noted:
                cursor.executemany(self.sql("save_metadata"), as_rows(noted))
            return self.settle(cursor, outcomes)

    @property
    def may_need_vacuum(self) -> bool:
        """See :meth:`Storage.may_need_vacuum`."""
        return False

    def vacuum(self, connection: BaseDatabaseWrapper) -> bool:
        """See :meth:`Storage.vacuum`."""
        return False
