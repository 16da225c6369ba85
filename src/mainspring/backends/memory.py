"""MemoryBackend: a real queue in the process's own memory, worked on by its own threads."""

import heapq
import time
from collections.abc import AsyncIterable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from mainspring.backends.base import POLICY_OPTIONS, MainspringBackend
from mainspring.backends.map_plans import Wanted
from mainspring.backends.memory_schedules import MemorySchedules
from mainspring.backends.ready_queue import ReadyQueue, first_of
from mainspring.backends.rescuing import rescue_from
from mainspring.backends.shared import shared_storage, start_embedded_worker
from mainspring.backends.spooled_jobs import SpooledJobs
from mainspring.backends.stalls import awaited_map, awaited_result
from mainspring.backends.storage import (
    ANY_QUEUE,
    LostWorker,
    Pruned,
    Rescued,
    Staged,
    Stats,
)
from mainspring.backends.waiting import wait_in_steps
from mainspring.conf import Config
from mainspring.core.admission import Admitted
from mainspring.core.arguments import Arguments
from mainspring.core.chunks import parse_call_id
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import MOST_CLAIMED, Job, Outcome, State, Worker
from mainspring.core.leases import Lease
from mainspring.core.map_results import MapResult
from mainspring.core.ordering import FAIR_EVERY
from mainspring.core.outcomes import cancelled_errors
from mainspring.core.results import TaskResult
from mainspring.core.tasks import Task
from mainspring.core.unique import Unique

if TYPE_CHECKING:
    from mainspring.backends.remote_storage import RemoteStorage


class MemoryBackend(MainspringBackend):
    """For tests, scripts and tiny sites: nothing survives the process, which runs the tasks itself.

    The first enqueue starts the threads (option ``THREADS``, 1 by default), or child processes that
    run the tasks instead (``PROCESSES``, none by default). When the process ends by itself, it
    first finishes what is ready.
    """

    supports_main_module: ClassVar[bool] = True
    options_supported: ClassVar[frozenset[str]] = frozenset(
        {
            "MAX_PAYLOAD",
            "ORDER",
            "RESULT_TTL",
            "THREADS",
            "PROCESSES",
            "GRACE",
            "QUEUE_LIMITS",
            "SCHEDULES",
            *POLICY_OPTIONS,
        }
    )

    @property
    def storage(self) -> "MemoryStorage | RemoteStorage":
        """The storage verbs in memory; one storage for all threads of the process."""
        if self.config.options.processes:
            return shared_storage(self.config, _in_another_process)
        return shared_storage(self.config, MemoryStorage)

    def _store_many(
        self, task: Task[..., Any], gathered: Sequence[Arguments] | SpooledJobs
    ) -> Sequence[TaskResult[Any]]:
        self._start_processes()
        results = super()._store_many(task, gathered)
        self._start_threads()
        return results

    def _enqueue(self, task: Task[..., Any], job: Job, unique: Unique | None) -> TaskResult[Any]:
        # Sees to it that the threads run, however the call came.
        self._start_processes()
        result = super()._enqueue(task, job, unique)
        self._start_threads()
        return result

    def map(
        self, task: Task[..., Any], items: Iterable[Any], **wanted: Unpack[Wanted]
    ) -> MapResult[Any]:
        """See :meth:`MainspringBackend.map`."""
        self._start_processes()
        return super().map(task, items, **wanted)

    async def amap(
        self,
        task: Task[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        **wanted: Unpack[Wanted],
    ) -> MapResult[Any]:
        """See :meth:`map`."""
        self._start_processes()
        return await super().amap(task, items, **wanted)

    def _start_processes(self) -> None:
        # Before anything is stored: processes that do not know a new task are to take none of it.
        if self.config.options.processes:
            start_embedded_worker(self.alias)

    def _start_threads(self) -> None:
        if not self.config.options.processes:
            start_embedded_worker(self.alias)

    def wait_for_result(self, result_id: str, timeout: float | None) -> TaskResult[Any]:
        """Wait until the result is settled, without polling; for one of a map, see the base."""
        if parse_call_id(result_id) is not None:
            return super().wait_for_result(result_id, timeout)
        self.get_result(result_id)
        wait = partial(self.storage.wait_until_final, result_id)
        wait_in_steps(self.storage, awaited_result(result_id), timeout, wait)
        return self.get_result(result_id)

    def wait_for_map(self, map_id: str, timeout: float | None) -> None:
        """Wait until a map is at its end, without polling."""
        self.get_map(map_id)
        wait = partial(self.storage.wait_until_map_ended, map_id)
        wait_in_steps(self.storage, awaited_map(map_id), timeout, wait)


def _in_another_process(config: Config) -> "RemoteStorage":
    from mainspring.backends.remote_storage import RemoteStorage

    return RemoteStorage(config)


class MemoryStorage(MemorySchedules):
    """The verbs on dicts and :class:`queue.PriorityQueue`, under one lock."""

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """See :meth:`Storage.enqueue`."""
        with self._lock:
            for job in jobs:
                self._put(job)
            self._wake_all()

    def enqueue_unique(self, calls: Sequence[tuple[Job, Unique | None]]) -> list[Job]:
        """See :meth:`Storage.enqueue_unique`."""
        with self._lock:
            stored = [self._put_unique(job, unique) for job, unique in calls]
            self._wake_all()
        return stored

    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """See :meth:`Storage.claim`."""
        jobs, left = list[Job](), MOST_CLAIMED
        with self._lock:
            claim = worker.first_claim | next(self._claims) & 0xFFFF_FFFF
            is_fair_turn = next(self._turns) % FAIR_EVERY == 0
            for group in self._groups(queues):
                while (
                    len(jobs) < limit
                    and left > 0
                    and (job := first_of(group, is_fair_turn)) is not None
                ):
                    claimed = job._replace(state=State.RUNNING, claim=claim)
                    self._jobs[job.id] = claimed
                    jobs.append(claimed)
                    left -= len(job.arguments)
            self._woken = left <= 0  # there may be more
            if self.bells is not None and (self._woken or len(jobs) == limit):
                self.bells.ring_next()
        return jobs

    def _groups(self, queues: Sequence[str]) -> Iterator[list[ReadyQueue]]:
        for name in queues:
            if name == ANY_QUEUE:
                named = self._paused.union(queues)
                yield [queue for other, queue in self._queues.items() if other not in named]
            elif name in self._queues and name not in self._paused:
                yield [self._queues[name]]

    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """See :meth:`Storage.settle`."""
        with self._lock:
            lost = [outcome.id for outcome in outcomes if not self._settle(outcome)]
            self._settled.notify_all()
        return lost

    def claims_held(self, jobs: Sequence[Job]) -> set[str]:
        """See :meth:`Storage.claims_held`."""
        with self._lock:
            return {job.id for job in jobs if self._is_held(job)}

    def save_metadata(self, job: Job, metadata: bytes | None) -> bool:
        """See :meth:`Storage.save_metadata`."""
        with self._lock:
            if not self._is_held(job):
                return False
            self._jobs[job.id] = self._jobs[job.id]._replace(metadata=metadata)
            return True

    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """See :meth:`Storage.release`."""
        released = 0
        with self._lock:
            for claimed in jobs:
                if self._is_held(claimed):
                    self._put(self._jobs[claimed.id]._replace(state=State.READY, claim=None))
                    released += 1
            self._wake_all()
        return released

    def heartbeat(self, worker: Worker, now: int) -> bool:
        """See :meth:`Storage.heartbeat`."""
        with self._lock:
            was_registered = worker.token in self._workers
            lease = Lease(worker.id, now, now + self._lease)
            self._workers[worker.token] = (worker, lease)
        return was_registered

    def retire(self, worker: Worker) -> None:
        """See :meth:`Storage.retire`."""
        with self._lock:
            self._workers.pop(worker.token, None)

    def leases(self) -> list[Lease]:
        """See :meth:`Storage.leases`."""
        with self._lock:
            return [lease for _, lease in self._workers.values()]

    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """See :meth:`Storage.rescue`."""
        known = {worker.worker_id: worker for worker in lost}
        rescued = []
        with self._lock:
            for worker, lease in list(self._workers.values()):
                end = known.get(worker.id)
                if end is not None and end.lease in {None, lease}:
                    del self._workers[worker.token]
                    rescued += self._rescue_from(worker, end, now)
            if rescued:
                self._wake_all()
                self._settled.notify_all()
        return rescued

    def _rescue_from(self, worker: Worker, lost: LostWorker, now: int) -> list[Rescued]:
        rescued = []
        claims = range(worker.first_claim, worker.last_claim + 1)
        for job in list(self._jobs.values()):
            if job.state == State.RUNNING and job.claim in claims:
                division, one = rescue_from(job, worker, lost, now, self._defaults)
                self._divide(job, division)
                rescued.append(one)
        return rescued

    def stage(self, now: int) -> Staged:
        """See :meth:`Storage.stage`."""
        staged = 0
        with self._lock:
            while (job := self._next_scheduled()) is not None and job.available_at <= now:
                heapq.heappop(self._scheduled)
                has_limits = job.limit_group is not None
                self._put(job._replace(state=State.HELD if has_limits else State.READY))
                staged += 1
            if staged:
                self._wake_all()
            next_at = None if job is None else job.available_at
            return Staged(staged, next_at, self._held.has_any)

    def admit(self, now: int, freed: Collection[str] | None = None) -> Admitted:
        """See :meth:`Storage.admit`."""
        with self._lock:
            admitted = self._held.admit(now, freed, self._paused, self._make_ready)
            if admitted.admitted:
                self._wake_all()
        return admitted

    def _make_ready(self, job: Job) -> None:
        self._put(job._replace(state=State.READY))

    def pause(self, queue: str) -> bool:
        """See :meth:`Storage.pause`."""
        with self._lock:
            is_new = queue not in self._paused
            self._paused |= {queue}
        return is_new

    def resume(self, queue: str) -> bool:
        """See :meth:`Storage.resume`."""
        with self._lock:
            was_paused = queue in self._paused
            self._paused -= {queue}
            self._wake_all()
        return was_paused

    def find_paused(self) -> frozenset[str]:
        """See :meth:`Storage.find_paused`."""
        return self._paused

    def _next_scheduled(self) -> Job | None:
        while self._scheduled:
            moment, job_id = self._scheduled[0]
            job = self._jobs.get(job_id)
            if job is not None and (job.state, job.available_at) == (State.SCHEDULED, moment):
                return job
            heapq.heappop(self._scheduled)  # cancelled, for one
        return None

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """See :meth:`Storage.cancel`."""
        cancelled = []
        with self._lock:
            for job_id in ids:
                job = self._jobs.get(job_id)
                if job is not None and not State(job.state).is_final:
                    self._put(
                        job._replace(
                            state=State.CANCELLED,
                            claim=None,
                            finished_at=clock_now(),
                            errors=cancelled_errors(job.errors, job.state == State.RUNNING),
                        )
                    )
                    cancelled.append(job_id)
                    if job.limit_group is not None:  # others may go on
                        self._wake_all()
            self._settled.notify_all()
        return cancelled

    def get_results(self, ids: Sequence[str]) -> list[Job]:
        """See :meth:`Storage.get_results`."""
        with self._lock:
            return [self._jobs[job_id] for job_id in set(ids) if job_id in self._jobs]

    def wait_until_final(self, job_id: str, timeout: float | None) -> bool:
        """Wait until a job is finished or deleted, or for ``timeout`` seconds; whether it is."""

        def is_final() -> bool:
            job = self._jobs.get(job_id)
            return job is None or State(job.state).is_final or self.is_closed

        with self._settled:
            return self._settled.wait_for(is_final, timeout)

    def wait_for_work(self, timeout: float) -> bool:
        """See :meth:`Storage.wait_for_work`."""
        end = time.monotonic() + timeout
        with self._work:
            while not (woken := self._woken or self._interrupted):
                if (left := end - time.monotonic()) <= 0:
                    break
                self._work.wait(left)
            self._woken = self._interrupted = False
        return woken

    def wake(self) -> None:
        """See :meth:`Storage.wake`."""
        with self._lock:
            self._interrupted = True
            self._work.notify_all()

    def stats(self) -> Stats:
        """See :meth:`Storage.stats`."""
        with self._lock:
            jobs = list(self._jobs.values())
            workers = sorted(worker.id for worker, _ in self._workers.values())
        ready: dict[str, int] = {}
        for job in jobs:
            if job.state == State.READY:
                ready[job.queue_name] = ready.get(job.queue_name, 0) + 1
        return Stats(
            ready,
            sum(job.state == State.SCHEDULED for job in jobs),
            sum(job.state == State.RUNNING for job in jobs),
            min((job.available_at for job in jobs if job.state == State.READY), default=None),
            workers,
            sum(job.state == State.HELD for job in jobs),
            sorted(self._paused),
        )

    def prune(self, before: int, limit: int) -> Pruned:
        """See :meth:`Storage.prune`."""
        deleted = 0
        with self._lock:
            self._delete_old_maps(before)
            while deleted < limit and self._finished and self._finished[0][0] < before:
                _, job_id = heapq.heappop(self._finished)
                del self._jobs[job_id]
                self._unique.forget(job_id)
                deleted += 1
        return Pruned(deleted, deleted < limit)

    def close(self) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self._interrupted = True
            self._work.notify_all()
            self._settled.notify_all()
