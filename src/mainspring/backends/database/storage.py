"""The storage verbs on a database."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from sys import intern
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.db import DatabaseError, InterfaceError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks.exceptions import InvalidTaskBackend

from mainspring.backends.database.claims import Claims
from mainspring.backends.database.connections import WorkerConnections
from mainspring.backends.database.vendors import Dialect, dialect_of
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.storage import (
    LostWorker,
    Pruned,
    Rescued,
    Staged,
    Stats,
    Storage,
    lease_ended,
    outcome_of_lost,
)
from mainspring.conf import Config
from mainspring.core import codec
from mainspring.core.clock import now as clock_now
from mainspring.core.ids import first_id_at
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.core.outcomes import cancelled_errors
from mainspring.exceptions import StoreUnavailable

_NEW_COLUMNS: Final = 11
_FOREVER: Final = 2**62
_STAGE_STEP: Final = 1000
_PATIENCE: Final = 60.0  # seconds that an enqueue waits for other writers


class DatabaseStorage(Storage):
    """The verbs that a caller uses run on Django's connection, and so in its transaction; those
    that a worker uses run on a connection of the worker's own.
    """

    def __init__(self, config: Config) -> None:
        self._backend = config.alias
        self._lease = config.options.lease
        self._order = config.options.order
        self._prune_after = ""
        self._orphans: set[int] = set()

    @cached_property
    def _alias(self) -> str:
        from mainspring.backends.database.models import StoredJob

        return router.db_for_write(StoredJob)

    @cached_property
    def _dialect(self) -> Dialect:
        return dialect_of(connections[self._alias])

    @cached_property
    def _own(self) -> WorkerConnections:
        return WorkerConnections(self._alias, self._dialect)

    @cached_property
    def _claims(self) -> Claims:
        return Claims(self._dialect, self._backend, self._order)

    # What callers use

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Store jobs in the caller's transaction; workers are woken when it commits."""
        connection = connections[self._alias]
        if len(jobs) != 1 or not self._dialect.insert_at_once(connection, jobs[0][:_NEW_COLUMNS]):
            with self._explained():
                self._insert_patiently(connection, [job[:_NEW_COLUMNS] for job in jobs])
        if connection.in_atomic_block:
            transaction.on_commit(self._dialect.notify, using=self._alias)
        else:
            self._dialect.notify()

    def _insert_patiently(self, connection: BaseDatabaseWrapper, rows: list[Row]) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._insert(connection, rows)
            except DatabaseError as error:
                # Within a transaction, what was read before may be out of date: not ours to retry.
                if (
                    connection.in_atomic_block
                    or not self._dialect.is_transient(error)
                    or time.monotonic() > end
                ):
                    raise
            else:
                return

    def _insert(self, connection: BaseDatabaseWrapper, rows: list[Row]) -> None:
        sql = self._dialect.sql("enqueue")
        if len(rows) == 1:
            with connection.cursor() as cursor:
                cursor.execute(sql, rows[0])
        else:
            with transaction.atomic(self._alias), connection.cursor() as cursor:
                cursor.executemany(sql, rows)

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel what has not started, in the caller's transaction."""
        now = clock_now()
        cancelled = []
        connection = connections[self._alias]
        with (
            self._explained(),
            transaction.atomic(self._alias),
            connection.cursor() as cursor,
        ):
            for job_id in dict.fromkeys(ids):
                cursor.execute(self._dialect.sql("cancel"), (now, job_id, self._backend))
                for (errors,) in cursor.fetchall():
                    told = (cancelled_errors(errors), job_id)
                    cursor.execute(self._dialect.sql("tell_cancelled"), told)
                    cancelled.append(job_id)
        return cancelled

    def get_results(self, ids: Sequence[str]) -> list[Job]:
        """Read jobs, the caller's own uncommitted ones included."""
        rows = self._read("get_results", codec.encode(list(ids)).decode(), self._backend)
        # The texts that many results have in common are held once.
        return [
            Job(row[0], intern(row[1]), intern(row[2]), intern(row[3]), *row[4:]) for row in rows
        ]

    def stats(self) -> Stats:
        """Count what is not finished."""
        ready = self._read("count_ready", self._backend)
        ((scheduled,),) = self._read("count_scheduled", self._backend)
        ((running,),) = self._read("count_running", self._backend)
        return Stats(
            {name: number for name, number, _ in ready},
            scheduled,
            running,
            min((oldest for _, _, oldest in ready), default=None),
            [worker_id for (worker_id,) in self._read("list_workers", self._backend)],
        )

    def _read(self, name: str, *params: Any) -> list[Row]:
        with self._explained(), connections[self._alias].cursor() as cursor:
            cursor.execute(self._dialect.sql(name), params)
            rows: list[Row] = cursor.fetchall()
            return rows

    # What workers use

    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """See :meth:`Storage.claim`."""
        return self.settle_and_claim(worker, (), queues, limit)[1]

    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """See :meth:`Storage.settle`."""
        return self.settle_and_claim(worker, outcomes, (), 0)[0]

    def settle_and_claim(
        self, worker: Worker, outcomes: Sequence[Outcome], queues: Sequence[str], limit: int
    ) -> tuple[list[str], list[Job]]:
        """Do both in one transaction."""
        with self._writing() as cursor:
            lost = self._dialect.settle(cursor, outcomes) if outcomes else []
            batches = self._claims.take(cursor, worker, queues, limit) if limit else []
        if limit and not batches and self._dialect.forget_notifications():
            # What was notified may have come after the look: look once more, then it is safe to
            # wait.
            with self._writing() as cursor:
                batches = self._claims.take(cursor, worker, queues, limit)
        # Sorted and made into jobs here, where the database is free for others again.
        return lost, [job for batch in batches for job in batch.jobs()]

    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """See :meth:`Storage.release`."""
        if not jobs:
            return 0
        with self._writing() as cursor:
            cursor.executemany(self._dialect.sql("release"), [(job.id, job.claim) for job in jobs])
            released: int = cursor.rowcount
        self._dialect.notify()
        return released

    def heartbeat(self, worker: Worker, now: int) -> bool:
        """See :meth:`Storage.heartbeat`."""
        with self._writing() as cursor:
            lease = (worker.token, now, now + self._lease)
            cursor.execute(self._dialect.sql("renew_lease"), lease)
            if cursor.rowcount:
                return True
            cursor.execute(self._dialect.sql("register"), (*lease, worker.id, self._backend))
            return False

    def retire(self, worker: Worker) -> None:
        """See :meth:`Storage.retire`."""
        with self._writing() as cursor:
            cursor.execute(self._dialect.sql("retire"), (worker.token,))

    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """See :meth:`Storage.rescue`."""
        known = {worker.worker_id: worker for worker in lost}
        rescued: list[Rescued] = []
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("workers"), (self._backend,))
            gone = [row for row in cursor.fetchall() if row[1] in known or row[3] <= now]
        for token, worker_id, heard_at, _ in gone:
            end = known.get(worker_id) or lease_ended(worker_id, heard_at)
            with self._writing() as cursor:
                # One whose lease has ended may have renewed it since the look.
                last_lease = _FOREVER if worker_id in known else now
                cursor.execute(self._dialect.sql("retire_lost"), (token, last_lease))
                if cursor.rowcount:
                    rescued += self._rescue_from(cursor, Worker(worker_id, token), end, now)
        rescued += self._rescue_orphans(now)
        if rescued:
            self._dialect.notify()
        return rescued

    def _rescue_orphans(self, now: int) -> list[Rescued]:
        # What is claimed by a worker that is not registered: one that had been given up, went on,
        # and died before it could register anew. It is given until the next look to do so.
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("orphans"), (self._backend,))
            orphans = {token for (token,) in cursor.fetchall()}
        rescued: list[Rescued] = []
        for token in orphans & self._orphans:
            worker = Worker(f"unregistered-{token}", token)
            with self._writing() as cursor:
                end = lease_ended(worker.id, now)
                rescued += self._rescue_from(cursor, worker, end, now)
        self._orphans = orphans
        return rescued

    def _rescue_from(
        self, cursor: Any, worker: Worker, lost: LostWorker, now: int
    ) -> list[Rescued]:
        claims = (worker.first_claim, worker.last_claim)
        cursor.execute(self._dialect.sql("claimed"), claims)
        jobs = [Job(*row) for row in cursor.fetchall()]
        outcomes = [outcome_of_lost(job, lost, now) for job in jobs]
        if outcomes:
            self._dialect.settle(cursor, outcomes)
        return [
            Rescued(job.id, job.task_path, worker.id, outcome.state, lost.has_started(job.id))
            for job, outcome in zip(jobs, outcomes, strict=True)
        ]

    def stage(self, now: int) -> Staged:
        """See :meth:`Storage.stage`; at most 1,000 jobs a time, so that others can write, too."""
        with self._reading() as cursor:
            next_at = self._next_scheduled(cursor)
        if next_at is None or next_at > now:
            return Staged(0, next_at)
        with self._writing() as cursor:
            cursor.execute(self._dialect.sql("stage"), (self._backend, now, _STAGE_STEP))
            staged: int = cursor.rowcount
            next_at = self._next_scheduled(cursor)
        if staged:
            self._dialect.notify()
        return Staged(staged, next_at)

    def _next_scheduled(self, cursor: Any) -> int | None:
        cursor.execute(self._dialect.sql("next_scheduled"), (self._backend,))
        row: Row | None = cursor.fetchone()
        return None if row is None else row[0]

    def prune(self, before: int, limit: int) -> Pruned:
        """See :meth:`Storage.prune`.

        Walks along the primary key, whose order is that of time, so that no index has to be kept
        of what is finished; the next call goes on where this one stopped.
        """
        end = first_id_at(before)
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("old_results"), (self._prune_after, end, limit))
            rows = cursor.fetchall()
        old = [
            (job_id,)
            for job_id, backend, state, finished_at in rows
            if backend == self._backend and State(state).is_final and finished_at < before
        ]
        if old:
            with self._writing() as cursor:
                cursor.executemany(self._dialect.sql("delete_result"), old)
        is_done = len(rows) < limit
        self._prune_after = "" if is_done else rows[-1][0]
        return Pruned(len(old), is_done)

    def describe(self) -> str:
        """See :meth:`Storage.describe`."""
        return f"database {self._dialect.alias!r} ({connections[self._alias].display_name})"

    def check(self) -> list[CheckMessage]:
        """Return what is wrong with the database's settings, for ``manage.py check``."""
        try:
            return self._dialect.check(connections[self._alias])
        except InvalidTaskBackend as error:
            return [Error(str(error), id="mainspring.E003")]

    @property
    def identity(self) -> str:
        """See :attr:`Storage.identity`."""
        return f"{self._dialect.identity}:{self._backend}"

    def wait_for_work(self, timeout: float) -> bool:
        """See :meth:`Storage.wait_for_work`."""
        return self._dialect.wait(timeout)

    def wake(self) -> None:
        """See :meth:`Storage.wake`."""
        self._dialect.interrupt()

    def close_thread(self) -> None:
        """Close the calling thread's own connection."""
        if "_own" in vars(self):  # what was never used needs no closing, and may be unusable
            self._own.close()

    def close(self) -> None:
        """Close the calling thread's own connection and what waiting holds open."""
        self.close_thread()
        if "_dialect" in vars(self):
            self._dialect.close()

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        with self._own_connection() as connection, self._dialect.write(connection) as cursor:
            yield cursor

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with self._own_connection() as connection:
            connection.ensure_connection()
            # Without Django's logging of queries, which cannot format these statements.
            with connection.make_cursor(connection.create_cursor()) as cursor:
                yield cursor

    @contextmanager
    def _own_connection(self) -> Iterator[BaseDatabaseWrapper]:
        with self._explained():
            try:
                yield self._own.get()
            except (DatabaseError, InterfaceError):
                # What was wrong may end for new connections only: a file's rights, for one.
                self._own.close()
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except transaction.TransactionManagementError:  # the caller's transaction is broken
            raise
        except (DatabaseError, InterfaceError) as error:
            raise StoreUnavailable(self._dialect.explain(error)) from error
