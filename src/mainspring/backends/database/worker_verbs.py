"""The storage verbs that a worker uses, on connections of its own."""

import time
from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connections

from mainspring.backends.database import large_jobs, old_maps, unique
from mainspring.backends.database.access import DatabaseAccess
from mainspring.backends.database.admission import Admitting
from mainspring.backends.database.atomic import DatabaseTransaction
from mainspring.backends.database.claims import Batch
from mainspring.backends.database.vendors.base import Between, Row
from mainspring.backends.storage import LostWorker, Pruned, Rescued, Staged
from mainspring.core.admission import Admitted
from mainspring.core.clock import SECOND
from mainspring.core.clock import now as clock_now
from mainspring.core.formats import aside_at
from mainspring.core.ids import first_id_at
from mainspring.core.jobs import MOST_CLAIMED, Job, Outcome, State, Worker
from mainspring.core.leases import Lease
from mainspring.exceptions import StoreLocked, StoreRefused, StoreUnavailable

_STAGE_STEP: Final = 1000
_METADATA_TRIES: Final = 5
_FINAL: Final = frozenset(state for state in State if state.is_final)


class WorkerVerbs(DatabaseAccess):
    """Claiming, settling, and what keeps it all going."""

    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """See :meth:`Storage.claim`."""
        return self.settle_and_claim(worker, (), queues, limit)[1]

    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """See :meth:`Storage.settle`."""
        return self.settle_and_claim(worker, outcomes, (), 0)[0]

    def settle_and_claim(
        self,
        worker: Worker,
        outcomes: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        freed: Collection[str] = (),
    ) -> tuple[list[str], list[Job]]:
        """Do all in one transaction: a slot that is freed is never seen to be free."""
        if freed and (groups := self._admission.sharing(self._dialect, freed)):
            return self._settle_admit_and_claim(worker, outcomes, queues, limit, groups)
        lost, batches = self._exchange(worker, outcomes, queues, limit)
        if limit and not batches and self._dialect.forget_notifications():
            # A notification may have come after the claim: claim once more, then it is safe to
            # wait.
            _, batches = self._exchange(worker, (), queues, limit)
        return lost, self._jobs_of(worker, batches, limit)

    def _jobs_of(self, worker: Worker, batches: Sequence[Batch], limit: int) -> list[Job]:
        # Rows are sorted and made into jobs here, when the database is free for others again.
        jobs = [job for batch in batches for job in batch.jobs()]
        self._size.claimed(len(jobs), limit)
        if large_jobs.has_large(jobs):
            jobs = self._read_large(worker, jobs)
        if self._size.is_cut:
            self.wake()  # there may be more jobs, although the claim was not full
        return jobs

    def _read_large(self, worker: Worker, jobs: list[Job]) -> list[Job]:
        try:
            with self._reading() as cursor:
                read = large_jobs.read(self._dialect, cursor, jobs, MOST_CLAIMED)
            if read.surplus:
                self._size.cut_to(len(read.jobs))
                self.release(worker, read.surplus)
        except BaseException:
            for claim in {job.claim for job in jobs if job.claim is not None}:
                self._doubts.add(claim, time.monotonic())
            raise
        return read.jobs

    def _settle_admit_and_claim(
        self,
        worker: Worker,
        outcomes: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        groups: Collection[str],
    ) -> tuple[list[str], list[Job]]:
        admitting = Admitting(self._admission, self._dialect, groups, self._paused, outcomes)
        try:
            lost, batches = self._exchange(worker, outcomes, queues, limit, admitting)
        except StoreLocked:
            # The stager will come back to it; the outcomes need not wait for that.
            return self.settle_and_claim(worker, outcomes, queues, limit)
        jobs = self._jobs_of(worker, batches, limit)
        if admitting.admitted > sum(job.limit_group is not None for job in jobs):
            self._notify()  # for others
        return lost, jobs

    def _exchange(
        self,
        worker: Worker,
        outcomes: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        between: Between | None = None,
    ) -> tuple[list[str], list[Batch]]:
        if self._paused:
            queues = [name for name in queues if name not in self._paused]
            limit = limit if queues else 0
        self.release_unanswered(worker)
        limit = self._size.limit(limit)
        wanted = self._demand.draw(worker, queues, limit, self._paused) if limit else None
        with self._own_connection() as connection:
            try:
                return self._dialect.exchange(connection, outcomes, wanted, between)
            except BaseException as error:
                if wanted is not None:
                    self._doubts.add(wanted.claim, time.monotonic())
                if isinstance(error, OverflowError | UnicodeError):  # raised by the driver
                    raise StoreRefused(self._dialect.explain(error)) from error
                raise

    def atomic(self) -> DatabaseTransaction:
        """Begin on Django's connection in the calling thread; see :meth:`Storage.atomic`."""
        connection, dialect = connections[self._alias], self._dialect
        with self._explained():
            try:
                return DatabaseTransaction(connection, dialect)
            except (DatabaseError, InterfaceError) as error:
                if not dialect.has_lost_connection(error):
                    raise
                connection.close()  # it may have died long ago, idle
                return DatabaseTransaction(connection, dialect)

    def stored(self, outcomes: Sequence[Outcome]) -> set[str]:
        """See :meth:`Storage.stored`."""
        with self._reading() as cursor:
            lost = self._dialect.find_lost(cursor, outcomes)
        return {outcome.id for outcome in outcomes}.difference(lost)

    def claims_held(self, jobs: Sequence[Job]) -> set[str]:
        """See :meth:`Storage.claims_held`."""
        if not jobs:
            return set()
        claims = {job.id: job.claim for job in jobs}
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("claims_held"), (self._dialect.ids(list(claims)),))
            return {job_id for job_id, claim in cursor.fetchall() if claims.get(job_id) == claim}

    def save_metadata(self, job: Job, metadata: bytes | None) -> bool:
        """See :meth:`Storage.save_metadata`; a task waits longer for a lock."""
        for _ in range(_METADATA_TRIES - 1):
            try:
                return self._save_metadata(job, metadata)
            except StoreLocked:
                continue
        return self._save_metadata(job, metadata)

    def _save_metadata(self, job: Job, metadata: bytes | None) -> bool:
        with self._writing() as cursor:
            cursor.execute(self._dialect.sql("save_metadata"), (metadata, job.id, job.claim))
            return bool(cursor.rowcount)

    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """See :meth:`Storage.release`."""
        if not jobs:
            return 0
        with self._writing() as cursor:
            cursor.executemany(self._dialect.sql("release"), [(job.id, job.claim) for job in jobs])
            released: int = cursor.rowcount
        self._dialect.ready_again(job.available_at for job in jobs)
        self._notify()
        return released

    def find_locked(self, ids: Sequence[str]) -> set[str]:
        """See :meth:`Storage.find_locked`."""
        with self._reading() as cursor:
            return self._dialect.find_locked(cursor, ids) if ids else set()

    def release_unanswered(self, worker: Worker, *, is_last: bool = False) -> None:
        """See :meth:`Storage.release_unanswered`."""
        began = time.monotonic()
        if not (is_last or self._doubts.are_due(began)):
            return
        claims = self._doubts.due(worker, None if is_last else began)
        if not claims:
            return
        with self._reading() as cursor:
            taken = self._dialect.find_taken(cursor, claims)
        later = self._release_taken(taken) if taken else set()
        self._doubts.looked([claim for claim in claims if claim not in later], began)
        self._doubts.put_off(later, began)

    def _release_taken(self, taken: Sequence[Row]) -> set[int]:
        # Return the claims whose jobs are locked.
        with self._writing() as cursor:
            locked = self._dialect.find_locked(cursor, [job_id for job_id, _, _ in taken])
            free = [row for row in taken if row[0] not in locked]
            released = [(job_id, claim) for job_id, claim, _ in free]
            if released:
                cursor.executemany(self._dialect.sql("release"), released)
        self._dialect.ready_again(available_at for _, _, available_at in free)
        self._notify()
        return {claim for job_id, claim, _ in taken if job_id in locked}

    def heartbeat(self, worker: Worker, now: int) -> bool:
        """See :meth:`Storage.heartbeat`."""
        with self._writing() as cursor:
            lease = (worker.token, now, now + self._options.lease)
            cursor.execute(self._dialect.sql("renew_lease"), lease)
            if cursor.rowcount:
                return True
            cursor.execute(self._dialect.sql("register"), (*lease, worker.id, self._backend))
            return False

    def retire(self, worker: Worker) -> None:
        """See :meth:`Storage.retire`."""
        self.release_unanswered(worker, is_last=True)
        with self._writing() as cursor:
            cursor.execute(self._dialect.sql("retire"), (worker.token,))
        self._doubts.forget(worker)

    def leases(self) -> list[Lease]:
        """See :meth:`Storage.leases`."""
        with self._reading() as cursor:
            return [lease for _, lease in self._lost.leases(self._dialect, cursor)]

    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """See :meth:`Storage.rescue`."""
        rescued: list[Rescued] = []
        with self._reading() as cursor:
            gone = self._lost.find(self._dialect, cursor, lost) if lost else []
        failures: list[StoreUnavailable] = []
        for worker, end, lease in gone:
            try:  # one by one, so that locked jobs do not delay other claims
                with self._writing() as cursor:
                    rescued += self._lost.rescue_from(
                        self._dialect, cursor, worker, end, now, lease
                    )
            except StoreUnavailable as error:
                failures.append(error)
        with self._reading() as cursor:
            orphans = self._lost.find_orphans(self._dialect, cursor, now)
        for worker, end in orphans:
            try:
                with self._writing() as cursor:
                    rescued += self._lost.rescue_jobs(self._dialect, cursor, worker, end, now)
            except StoreUnavailable as error:
                failures.append(error)
        if rescued:
            self._admission.hurry()
            self._notify()
        elif failures:
            raise failures[0]
        return rescued

    def find_blocker(self) -> int | None:
        """See :meth:`Storage.find_blocker`."""
        return self._dialect.find_blocker()

    def stage(self, now: int) -> Staged:
        """See :meth:`Storage.stage`; at most 1,000 jobs a time, so that others can write, too."""
        next_at, has_held = self._answered(self._next_due, self._next_scheduled)
        if next_at is None or next_at > now:
            return Staged(0, next_at, has_held)
        due_from = next_at
        with self._writing() as cursor:
            staged = self._dialect.stage(cursor, due_from, now, _STAGE_STEP)
            next_at, has_held = self._next_scheduled(cursor)
        if staged:
            if has_held:  # the staged jobs may be among them
                self._admission.hurry()
            self._dialect.ready_again((due_from, now), are_ends=True)
            self._notify()
        return Staged(staged, next_at, has_held)

    def restore(self, readable: int) -> int:
        """See :meth:`Storage.restore`."""
        with self._writing() as cursor:
            wanted = (self._backend, aside_at(1), aside_at(readable))
            cursor.execute(self._dialect.sql("restore"), wanted)
            return int(cursor.rowcount)

    def admit(self, now: int, freed: Collection[str] | None = None) -> Admitted:
        """See :meth:`Storage.admit`."""
        admitted = self._admission.admit(self._dialect, now, freed, self._paused)
        if admitted.admitted:
            self._notify()
        return admitted

    def find_paused(self) -> frozenset[str]:
        """See :meth:`Storage.find_paused`."""
        before, self._paused = self._paused, self._answered(self._paused_now, self._paused_queues)
        if set(before).difference(self._paused):  # what waits for limits there can go on
            self._admission.hurry()
        return frozenset(self._paused)

    def _paused_queues(self, cursor: Any) -> Sequence[str]:
        cursor.execute(self._dialect.sql("paused"), (self._backend,))
        return tuple(name for (name,) in cursor.fetchall())

    def _next_scheduled(self, cursor: Any) -> tuple[int | None, bool]:
        due_from = self._dialect.due_from()
        cursor.execute(self._dialect.sql("next_scheduled"), (self._backend, due_from))
        next_at, has_held = cursor.fetchone()
        self._dialect.none_due(due_from, next_at)
        return next_at, bool(has_held)

    def prune(self, before: int, limit: int) -> Pruned:
        """See :meth:`Storage.prune`.

        Walks along the primary key, whose order is that of time, so that no index has to be kept
        of what is finished; the next call goes on where this one stopped.
        """
        end = first_id_at(before)
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("old_results"), (self._prune_after, end, limit))
            rows = cursor.fetchall()
            maps = old_maps.find_old(self._dialect, cursor, before, limit)
        old = [
            job_id
            for job_id, backend, state, finished_at in rows
            if backend == self._backend and state in _FINAL and (finished_at or 0) < before
        ]
        if old or any(maps):
            with self._writing() as cursor:
                old_maps.delete(self._dialect, cursor, maps, before)
                old = self._delete_results(cursor, old) if old else []
        is_done = len(rows) < limit
        self._prune_after = "" if is_done else rows[-1][0]
        return Pruned(len(old), is_done)

    def _delete_results(self, cursor: Any, old: list[str]) -> list[str]:
        # Return the ids of those that were not to be kept for now.
        old = old_maps.without_rows(self._dialect, cursor, old)
        if old and (kept := unique.forget_keys(self._dialect, cursor, old)):
            old = [job_id for job_id in old if job_id not in kept]
        if old:
            cursor.executemany(self._dialect.sql("delete_result"), [(job_id,) for job_id in old])
        return old

    def may_need_vacuum(self) -> bool:
        """See :meth:`Storage.may_need_vacuum`."""
        return self._dialect.may_need_vacuum

    def vacuum(self) -> bool:
        """See :meth:`Storage.vacuum`."""
        with self._own_connection() as connection:
            return self._dialect.vacuum(connection)

    def wait_for_work(self, timeout: float) -> bool:
        """See :meth:`Storage.wait_for_work`."""
        return self._dialect.wait(timeout, self._is_any_ready)

    def _is_any_ready(self) -> bool:
        try:
            with self._reading() as cursor:
                soon = clock_now() + SECOND  # what is due later, the stager finds by itself
                is_any_ready, newest_held = self._dialect.look(cursor, soon)
        except StoreUnavailable:  # the worker will meet the same error and report it
            return True
        if newest_held is None or newest_held <= self._newest_held:
            return is_any_ready
        self._newest_held = newest_held  # it may be admitted at once
        return True

    def wake(self) -> None:
        """See :meth:`Storage.wake`."""
        self._dialect.interrupt()
