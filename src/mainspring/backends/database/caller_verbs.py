"""The storage verbs that a caller uses, in the caller's transaction."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from sys import intern
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database import unique
from mainspring.backends.database.access import DatabaseAccess
from mainspring.backends.database.patience import is_in_transaction, patiently, unhindered
from mainspring.backends.database.storing import store, store_as_made
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.database.visibility import (
    find_out,
    has_ended_in_conflict,
    hidden_because,
)
from mainspring.backends.storage import Stats
from mainspring.backends.wait_storage import Pulse, Watch
from mainspring.core.chunks import MapRecord
from mainspring.core.clock import SECOND
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import NEW_COLUMNS, Job
from mainspring.core.outcomes import cancelled_errors
from mainspring.core.unique import Unique

_TRIES: Final = 5
_LARGE: Final = frozenset({"read_rows", "read_values"})  # statements that bring much


class CallerVerbs(DatabaseAccess):
    """Enqueueing, reading, cancelling, pausing."""

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Store jobs in the caller's transaction; workers are woken when it commits."""
        connection = connections[self._alias]
        dialect = self._dialect
        if len(jobs) == 1 and dialect.insert_at_once(connection, jobs[0][:NEW_COLUMNS]):
            if not connection.in_atomic_block:
                return
        else:
            with self._explained():
                self._insert_patiently(connection, [job[:NEW_COLUMNS] for job in jobs])
        self._after_commit(partial(dialect.notify, connection))

    def enqueue_as_made(self, batches: Iterator[Sequence[Job]]) -> None:
        """See :meth:`enqueue`, and :meth:`Storage.enqueue_as_made`."""
        connection, made = connections[self._alias], list[Row]()

        def rows() -> Iterator[list[Row]]:
            for jobs in batches:
                made.extend(job[:NEW_COLUMNS] for job in jobs)
                yield made[len(made) - len(jobs) :]

        with self._explained():
            try:
                store_as_made(connection, self._dialect, rows())
            except (DatabaseError, InterfaceError) as error:
                if is_in_transaction(connection):
                    raise
                for _ in rows():  # the rest, if there is one
                    pass
                self._insert_patiently(connection, made, error)
        self._after_commit(partial(self._dialect.notify, connection))

    def enqueue_batches(self, batches: Callable[[], Iterator[Sequence[Job]]]) -> None:
        """See :meth:`enqueue`, and :meth:`Storage.enqueue_batches`."""
        connection, dialect = connections[self._alias], self._dialect

        def store_all(is_again: bool) -> None:
            with dialect.atomic(connection):
                for jobs in batches():
                    rows = [job[:NEW_COLUMNS] for job in jobs]
                    store(connection, dialect, rows, is_again)

        with self._explained():
            patiently(connection, dialect, store_all)
        self._after_commit(partial(dialect.notify, connection))

    def _after_commit(self, call: Callable[[], None]) -> None:
        if connections[self._alias].in_atomic_block:
            transaction.on_commit(call, using=self._alias)
        else:
            call()

    def _insert_patiently(
        self,
        connection: BaseDatabaseWrapper,
        rows: list[Row],
        failure: DatabaseError | InterfaceError | None = None,
    ) -> None:
        dialect = self._dialect
        patiently(connection, dialect, partial(store, connection, dialect, rows), failure)

    def enqueue_unique(self, calls: Sequence[tuple[Job, Unique | None]]) -> list[Job]:
        """See :meth:`Storage.enqueue_unique`."""
        connection, dialect = connections[self._alias], self._dialect
        with self._explained():
            stored = patiently(
                connection, dialect, partial(unique.enqueue_unique, connection, dialect, calls)
            )
        # Also where all were there: what waited for the transaction to end may start.
        self._after_commit(partial(dialect.notify, connection))
        return stored

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel what has not finished, in the caller's transaction."""
        connection = connections[self._alias]
        with self._explained():
            cancelled = self._cancel_patiently(connection, list(dict.fromkeys(ids)))
        self._after_commit(partial(self._dialect.tell_settled, connection, cancelled))
        return cancelled

    def _cancel_patiently(self, connection: BaseDatabaseWrapper, ids: list[str]) -> list[str]:
        cancel, dialect = partial(self._cancel, connection, ids), self._dialect
        for _ in range(_TRIES - 1):
            try:
                return unhindered(connection, dialect, cancel)
            except DatabaseError as error:  # a worker settles one of them at the same moment
                if not dialect.is_transient(error) or has_ended_in_conflict(connection, dialect):
                    raise
        return unhindered(connection, dialect, cancel)

    def _cancel(self, connection: BaseDatabaseWrapper, ids: list[str]) -> list[str]:
        now, cancelled, has_limits = clock_now(), list[str](), False
        with transaction.atomic(self._alias), connection.cursor() as cursor:
            for job_id in ids:
                for errors, claim, limit_group in self._dialect.cancel(cursor, job_id, now):
                    told = (cancelled_errors(errors, claim is not None), job_id)
                    cursor.execute(self._dialect.sql("tell_cancelled"), told)
                    cancelled.append(job_id)
                    if limit_group is not None:
                        cursor.execute(self._dialect.sql("delete_held"), (job_id,))
                        has_limits = True
        if has_limits:  # others may go on
            self._after_commit(partial(self._dialect.notify, connections[self._alias]))
        return cancelled

    def get_results(self, ids: Sequence[str]) -> list[Job]:
        """Read jobs, the caller's own uncommitted ones included."""
        return self._jobs(self._read("get_results", self._dialect.ids(ids), self._backend))

    def _jobs(self, rows: list[Row]) -> list[Job]:
        # The texts that many results have in common are held once.
        return [
            Job(row[0], intern(row[1]), intern(row[2]), intern(row[3]), *row[4:]) for row in rows
        ]

    def stats(self) -> Stats:
        """Count what is not finished."""
        ready = self._read("count_ready", self._backend)
        ((scheduled,),) = self._read("count_scheduled", self._backend)
        ((running,),) = self._read("count_running", self._backend)
        ((held,),) = self._read("count_held", self._backend)
        return Stats(
            {name: number for name, number, _ in ready},
            scheduled,
            running,
            min((oldest for _, _, oldest in ready), default=None),
            [worker_id for (worker_id,) in self._read("list_workers", self._backend)],
            held,
            [name for (name,) in self._read("list_paused", self._backend)],
        )

    def require_visible(self, name: str, watched_id: str | None, map_id: str | None) -> None:
        """See :meth:`Storage.require_visible`."""
        connection = connections[self._alias]
        dialect = self._dialect
        if not is_in_transaction(connection) and not dialect.may_be_behind(connection):
            return
        if map_id is not None:
            params: tuple[Any, ...] = ("find_map", (map_id, self._backend))
            ended_at = MapRecord._fields.index("finished_at")
        else:
            params = ("get_results", (self._dialect.ids([watched_id or ""]), self._backend))
            ended_at = Job._fields.index("finished_at")
        with self._explained():
            if not is_in_transaction(connection):
                find_out(connection, dialect, lambda it: self._rows(it, *params))
                return
            why = hidden_because(connection, dialect, lambda it: self._rows(it, *params), ended_at)
        if why:
            raise transaction.TransactionManagementError(
                f"{name} cannot be waited for in this transaction on the database "
                f"{self._alias!r}: {why}. Wait after the transaction."
            )

    def pulse(self) -> Pulse:
        """See :meth:`Storage.pulse`."""
        lease = self._options.lease / SECOND
        return Pulse(dict(self._read("pulse", self._backend)), lease)

    def pause(self, queue: str) -> bool:
        """See :meth:`Storage.pause`; in the caller's transaction."""
        return self._write("pause", self._backend, queue, clock_now())

    def resume(self, queue: str) -> bool:
        """See :meth:`Storage.resume`; in the caller's transaction."""
        return self._write("resume", self._backend, queue)

    def _write(self, name: str, *params: Any) -> bool:
        return self._do(lambda: self._execute(name, *params))

    def _do[T](self, write: Callable[[], T]) -> T:
        with self._explained():
            return unhindered(connections[self._alias], self._dialect, write)

    def _execute(self, name: str, *params: Any) -> bool:
        with connections[self._alias].cursor() as cursor:
            cursor.execute(self._dialect.sql(name), params)
            return bool(cursor.rowcount)

    def _read(self, name: str, *params: Any) -> list[Row]:
        connection, dialect = connections[self._alias], self._dialect
        with self._explained():
            is_behind = dialect.behind and id(connection.connection) in dialect.behind
            if is_behind and not is_in_transaction(connection):
                with dialect.apart(connection):
                    return self._rows(connection, name, params)
            try:
                return self._rows(connection, name, params)
            except (DatabaseError, InterfaceError) as error:
                if is_in_transaction(connection) or not self._dialect.has_lost_connection(error):
                    raise
                connection.close()  # it may have died long ago, idle
                return self._rows(connection, name, params)

    def _rows(self, connection: BaseDatabaseWrapper, name: str, params: Row) -> list[Row]:
        cursor_for = self._dialect.large_cursor if name in _LARGE else self._dialect.cursor
        with cursor_for(connection) as cursor:
            cursor.execute(self._dialect.sql(name), params)
            rows: list[Row] = cursor.fetchall()
            return rows

    def watch(self, job_id: str, call: Callable[[], None]) -> Watch | None:
        """See :meth:`Storage.watch`."""
        return self._dialect.watch(job_id, call)
