"""SQLite: write-ahead log, short ``BEGIN IMMEDIATE`` writes, named pipes beside the file."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from urllib.parse import unquote, urlsplit

from django.core.checks import CheckMessage, Warning  # noqa: A004 # Django's name
from django.db import Error, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

from mainspring.backends.database.claims import Batch, Claims, Wanted
from mainspring.backends.database.vendors.base import Between, Dialect, Row
from mainspring.backends.database.vendors.wakeup import LocalWakeup, PipeWakeup, Wakeup
from mainspring.backends.fork_gate import Gate
from mainspring.backends.kernel_locks import writer_of
from mainspring.conf import Options
from mainspring.core import codec
from mainspring.core.jobs import Outcome

_BUSY_TIMEOUT: Final = 10.0  # seconds that a worker's statement waits for another writer

# 16 MB of pages instead of 2, and a checkpoint every 16 MB instead of 4: both keep a backlog of
# 100,000 jobs from being read and written over and over.
_TUNING: Final = "PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 4000"

_FIRST_STEP: Final = 0.0002  # seconds
_LONGEST_STEP: Final = 0.002

# Between two transactions of atomic tasks, a part of the time that the first one took, in seconds.
# SQLite's own way of waiting is to look now and then: with nothing in between, others, a website
# first of all, would hardly ever get to write.
_SHARE: Final = 0.25
_LONGEST_GAP: Final = 0.01

_gate: Final = Gate()

_BEHIND: Final = (
    "was changed by another connection since this one began to read: in a transaction that reads "
    'before it writes, set "transaction_mode": "IMMEDIATE" in OPTIONS of DATABASES; otherwise '
    "exhaust or close an open iterator() or cursor before you write"
)

_EXPLANATIONS: Final = (
    ("locked", "is locked by another writer; close whatever holds a transaction open"),
    ("full", "cannot grow, as the disk is full; free some space"),
    ("readonly", "is read-only; let the worker's user write the file and its folder"),
    ("no such table", "lacks Mainspring's tables; run 'manage.py migrate'"),
    ("no such column", "has Mainspring's tables of another version; run 'manage.py migrate'"),
    ("unable to open", "cannot be opened; check that the folder exists and may be written"),
    ("disk I/O", "cannot be read or written, says the disk"),
    ("malformed", "is damaged; restore it from a backup"),
    ("not a database", "is damaged; restore it from a backup"),
)


class SQLiteDialect(Dialect):
    """SQLite 3.35 and later, in a file or in memory."""

    vendor: ClassVar[str] = "sqlite"
    gate = _gate

    def __init__(self, connection: BaseDatabaseWrapper, backend: str, options: Options) -> None:
        super().__init__(connection, backend, options)
        self._claims = Claims(backend, options.order)
        self._began_at = self._free_until = 0.0
        self.behind: set[int] = set()
        self._path = _path_of(connection)
        self._insert = self.sql("enqueue").replace("%s", "?")
        self._wakeup: Wakeup = (
            LocalWakeup() if self._path is None else PipeWakeup(Path(f"{self._path}-mainspring"))
        )

    @property
    def identity(self) -> str:
        """The file, or this process for a database in memory."""
        return f"sqlite:{self._path or os.getpid()}"

    def check(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """Warn about transactions that take the write lock only half-way."""
        mode = connection.settings_dict["OPTIONS"].get("transaction_mode") or "DEFERRED"
        if self._path is None or mode.upper() != "DEFERRED":
            return []
        return [
            Warning(
                f"DATABASES[{self.alias!r}] begins its transactions without a lock, so an atomic() "
                "block that reads before it writes fails with 'database is locked' whenever a "
                "worker has written in between.",
                hint=f'Set DATABASES[{self.alias!r}]["OPTIONS"] = '
                '{"transaction_mode": "IMMEDIATE"}.',
                id="mainspring.W001",
            )
        ]

    @classmethod
    def prepare_database(cls, connection: BaseDatabaseWrapper) -> None:
        """Turn on the write-ahead log, which stays on: readers and a writer then coexist."""
        if _path_of(connection) is not None and not connection.in_atomic_block:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode = WAL")

    def new_connection(self, connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        """Return a second connection to the file; a database in memory has only the one."""
        if self._path is None:
            return connection
        own = connection.copy()
        options = own.settings_dict["OPTIONS"]
        own.settings_dict["OPTIONS"] = {
            **options,
            "timeout": _BUSY_TIMEOUT,
            "transaction_mode": "IMMEDIATE",
            "init_command": f"{options.get('init_command', '')};{_TUNING}",
        }
        own.inc_thread_sharing()
        with suppress(Error):  # locked or read-only for now: told where it is used
            self.prepare_database(own)
        return own

    def mark(self, connection: BaseDatabaseWrapper) -> object:
        """Others' changes move the version, our own are counted; 10 µs, a query takes 200."""
        if self._path is None:
            return None
        connection.ensure_connection()
        raw = connection.connection
        with connection.wrap_database_errors:
            ((version,),) = raw.execute("PRAGMA data_version")
        return raw, version, raw.total_changes

    def write(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """Lock for writing at once: a lock that is taken half-way fails where others write."""
        return _write(connection)

    @contextmanager
    def atomic(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Wait for the lock in small steps, where it is not held already."""
        block = transaction.atomic(self.alias)
        if connection.in_atomic_block or not connection.autocommit:
            with block:
                yield
            return
        with ExitStack() as stack:
            _enter(connection, block)
            stack.push(block)
            yield

    def insert_at_once(self, connection: BaseDatabaseWrapper, row: Row) -> bool:
        """Insert past Django's cursor, which takes 40 µs more beside the 180 µs of a commit.

        That is where nobody listens to Django's cursors, and the transaction is sound.
        """
        if (
            connection.connection is None
            or connection.queries_logged
            or connection.execute_wrappers
            or connection.needs_rollback
            or row[-1] is not None  # it has limits to wait for
        ):
            return False
        connection.ensure_connection()  # refuses to block an event loop
        try:
            connection.connection.execute(self._insert, row)
        except sqlite3.Error:
            return False
        self.caught_up(connection)
        if not connection.in_atomic_block:
            self._wakeup.notify()
        return True

    def stage(self, cursor: Any, due_from: int, now: int, most: int) -> int:
        """Hold what has limits, then stage all: what is due stays the same under the lock."""
        cursor.execute(self.sql("hold_due"), (self.backend, now, most, self.sign))
        cursor.execute(self.sql("stage"), (self.backend, now, most))
        staged: int = cursor.rowcount
        return staged

    def exchange(
        self,
        connection: BaseDatabaseWrapper,
        outcomes: Sequence[Outcome],
        wanted: Wanted | None,
        between: Between | None = None,
    ) -> tuple[list[str], list[Batch]]:
        """Do both under one lock."""
        with self.write(connection) as cursor:
            lost = self.settle(cursor, outcomes) if outcomes else []
            if between is not None:
                between(cursor, lambda: not lost)
            batches = [] if wanted is None else self._claims.take(self, cursor, wanted)
        return lost, batches

    def claim_newest(self, cursor: Any, queue: Row, limit: int) -> list[Row]:
        """Claim through the index of ready jobs, read backwards."""
        cursor.execute(self.sql("claim_newest"), (*queue, limit))
        rows: list[Row] = cursor.fetchall()
        return rows

    def claim_oldest(self, cursor: Any, queue: Row, priority: int, limit: int) -> list[Row]:
        """Claim through the index of ready jobs, read forwards within one priority."""
        cursor.execute(self.sql("claim_oldest"), (*queue, priority, limit))
        rows: list[Row] = cursor.fetchall()
        return rows

    def claim_chosen(self, cursor: Any, claim: int, ids: Sequence[str]) -> list[Row]:
        """Claim by the primary key."""
        cursor.execute(self.sql("claim_chosen"), (claim, codec.encode(ids).decode()))
        rows: list[Row] = cursor.fetchall()
        return rows

    def settle(self, cursor: Any, outcomes: Sequence[Row]) -> list[str]:
        """Write all in one go; look at the rows only where a claim was lost.

        A savepoint to go back to would cost a quarter of the time of settling.
        """
        cursor.executemany(self.sql("settle"), outcomes)
        return [] if cursor.rowcount == len(outcomes) else self.find_lost(cursor, outcomes)

    def begin(self, connection: BaseDatabaseWrapper, block: Atomic) -> None:
        """Lock for writing at once, whatever the project's mode is, but not all of the time."""
        time.sleep(max(self._free_until - time.monotonic(), 0))
        _enter(connection, block)
        self._began_at = time.monotonic()

    def end(self, connection: BaseDatabaseWrapper, block: Atomic) -> None:
        """Leave it, and leave the database to others for a moment."""
        super().end(connection, block)
        now = time.monotonic()
        self._free_until = now + min((now - self._began_at) * _SHARE, _LONGEST_GAP)

    def transaction_state(
        self, connection: BaseDatabaseWrapper
    ) -> Literal["open", "failed", "ended"]:
        """Return what SQLite knows: it is in this process."""
        return "open" if connection.connection.in_transaction else "ended"

    def explain(self, error: Exception) -> str:
        """Return one line for the errors that a healthy program can meet."""
        text = str(error)
        name = f"The SQLite database {self.alias!r}"
        if self.is_behind(error):
            return f"{name} {_BEHIND} ({text})."
        for sign, explanation in _EXPLANATIONS:
            if sign in text:
                return f"{name} {explanation} ({text})."
        return f"{name} raised {type(error).__name__}: {text}."

    def is_transient(self, error: Exception) -> bool:
        """Whether another writer was only in the way."""
        return _is_locked(error)

    def is_conflict(self, error: Exception) -> bool:
        """Return False, so that the error names the process that holds the lock for too long."""
        return False

    def is_behind(self, error: Exception) -> bool:
        """Return True if others have written since the connection's open read began."""
        return _is_behind(error)

    def may_be_behind(self, connection: BaseDatabaseWrapper) -> bool:
        """Return True for a file: a cursor that is not read to its end keeps seeing old data."""
        return self._path is not None and connection.connection is not None

    def caught_up(self, connection: BaseDatabaseWrapper) -> None:
        """Forget that a connection was behind: it has written."""
        if self.behind:
            self.behind.discard(id(connection.connection))

    @contextmanager
    def apart(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Give Django's connection another driver connection during the block.

        Cursors that the caller has not read to the end stay open on its own driver connection.
        """
        other = connection.copy()
        other.inc_thread_sharing()
        other.ensure_connection()
        own, connection.connection = connection.connection, other.connection
        try:
            yield
        finally:
            connection.connection = own
            self.behind.add(id(own))
            other.close()

    def find_blocker(self) -> int | None:
        """Ask the kernel who holds the file's lock for writing, where it tells."""
        return None if self._path is None else writer_of(self._path)

    def notify(self, connection: BaseDatabaseWrapper) -> None:
        """Wake the workers through their pipes."""
        self._wakeup.notify()

    def forget_notifications(self) -> bool:
        """Empty the pipe of this process."""
        return self._wakeup.forget()

    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Wait at the pipe."""
        return self._wakeup.wait(timeout)

    def interrupt(self) -> None:
        """End the wait of this process."""
        self._wakeup.interrupt()

    def close(self) -> None:
        """Close the pipes."""
        self._wakeup.close()


@contextmanager
def _write(connection: BaseDatabaseWrapper) -> Iterator[Any]:
    connection.ensure_connection()
    # Without Django's logging of queries, which DEBUG would turn on.
    with connection.make_cursor(connection.create_cursor()) as cursor:
        if connection.in_atomic_block:  # a database in memory: the caller's own transaction
            yield cursor
            return
        try:
            _begin(cursor)
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(Error):
                cursor.execute("ROLLBACK")
            raise


def _enter(connection: Any, block: Atomic) -> None:
    # Enter an outermost block, locked for writing, whatever the project's mode is.
    connection.ensure_connection()
    ((patience,),) = connection.connection.execute("PRAGMA busy_timeout")
    mode = connection.transaction_mode
    connection.transaction_mode = mode if mode == "EXCLUSIVE" else "IMMEDIATE"
    try:
        _lock(connection.connection.execute, block.__enter__, patience)
    finally:
        connection.transaction_mode = mode


def _begin(cursor: Any) -> None:
    begin = partial(cursor.execute, "BEGIN IMMEDIATE")
    _lock(cursor.execute, begin, int(_BUSY_TIMEOUT * 1000))


def _lock(execute: Callable[[str], Any], begin: Callable[[], Any], patience: int) -> None:
    # SQLite waits for its lock in steps of up to 100 ms, in which the lock lies idle; two workers
    # that share it settle a third more with steps this small. ``patience``: milliseconds.
    end = time.monotonic() + patience / 1000
    pause = _FIRST_STEP
    execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                begin()
            except OperationalError as error:
                if not _is_locked(error) or time.monotonic() > end:
                    raise
            else:
                return
            with _gate.left():
                time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_STEP)
    finally:
        execute(f"PRAGMA busy_timeout = {patience}")


def _is_locked(error: Exception) -> bool:
    return "locked" in str(error) and not _is_behind(error)


def _is_behind(error: BaseException) -> bool:
    # Waiting does not help: the connection keeps reading the same old state.
    return getattr(error.__cause__ or error, "sqlite_errorname", "") == "SQLITE_BUSY_SNAPSHOT"


def _path_of(connection: Any) -> Path | None:
    if connection.is_in_memory_db():
        return None
    name = os.fspath(connection.settings_dict["NAME"])
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    return Path(name).resolve()  # as SQLite does: all must find the pipes beside the same file
