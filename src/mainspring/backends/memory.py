"""MemoryBackend: a real queue in the process's own memory, worked on by its own threads."""

import heapq
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

from mainspring.backends.base import MainspringBackend
from mainspring.backends.ready_queue import ReadyQueue, first_of
from mainspring.backends.shared import shared_storage, start_embedded_worker
from mainspring.backends.storage import (
    ANY_QUEUE,
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
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.core.ordering import FAIR_EVERY
from mainspring.core.outcomes import cancelled_errors
from mainspring.core.results import TaskResult
from mainspring.core.tasks import Task


class MemoryBackend(MainspringBackend):
    """For tests, scripts and tiny sites: nothing survives the process, which runs the tasks itself.

    The first enqueue starts the threads (option ``THREADS``, 1 by default). When the process ends
    by itself, it first finishes what is ready.
    """

    supports_main_module: ClassVar[bool] = True
    options_supported: ClassVar[frozenset[str]] = frozenset(
        {"MAX_PAYLOAD", "ORDER", "RESULT_TTL", "THREADS"}
    )

    @property
    def storage(self) -> "MemoryStorage":
        """The storage verbs in memory; one storage for all threads of the process."""
        return shared_storage(self.config, MemoryStorage)

    def enqueue(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any]:
        """Store one call and see to it that the threads run."""
        result = super().enqueue(task, args, kwargs)
        start_embedded_worker(self.alias)
        return result

    def wait_for_result(self, result_id: str, timeout: float | None) -> TaskResult[Any]:
        """Wait until the result is settled, without polling."""
        self.get_result(result_id)
        if not self.storage.wait_until_final(result_id, timeout):
            raise TimeoutError(f"Result {result_id} was not finished within {timeout} s.")
        return self.get_result(result_id)


class MemoryStorage(Storage):
    """The verbs on dicts and :class:`queue.PriorityQueue`, under one lock."""

    def __init__(self, config: Config) -> None:
        self._backend = config.alias
        self._lease = config.options.lease
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._woken = False  # by work to do
        self._interrupted = False  # by wake()
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, ReadyQueue] = {}
        self._order = config.options.order
        self._scheduled: list[tuple[int, str]] = []
        self._finished: list[tuple[int, str]] = []
        self._workers: dict[int, tuple[Worker, int, int]] = {}
        self._claims = count(1)
        self._turns = count(1)

    @property
    def identity(self) -> str:
        """This process."""
        return f"memory:{os.getpid()}:{self._backend}"

    def describe(self) -> str:
        """See :meth:`Storage.describe`."""
        return "the memory of this process"

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """See :meth:`Storage.enqueue`."""
        with self._lock:
            for job in jobs:
                self._put(job)
            self._wake_all()

    def _put(self, job: Job) -> None:
        self._jobs[job.id] = job
        if job.state == State.READY:
            queue = self._queues.get(job.queue_name)
            if queue is None:
                queue = self._queues[job.queue_name] = ReadyQueue(self._order, self._jobs)
            queue.put(job)
        elif job.state == State.SCHEDULED:
            heapq.heappush(self._scheduled, (job.available_at, job.id))
        elif job.finished_at is not None:
            heapq.heappush(self._finished, (job.finished_at, job.id))

    def _wake_all(self) -> None:
        self._woken = True
        self._work.notify_all()

    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """See :meth:`Storage.claim`."""
        jobs: list[Job] = []
        with self._lock:
            claim = worker.first_claim | next(self._claims) & 0xFFFF_FFFF
            is_fair_turn = next(self._turns) % FAIR_EVERY == 0
            for group in self._groups(queues):
                while len(jobs) < limit and (job := first_of(group, is_fair_turn)) is not None:
                    claimed = job._replace(state=State.RUNNING, claim=claim)
                    self._jobs[job.id] = claimed
                    jobs.append(claimed)
            self._woken = False
        return jobs

    def _groups(self, queues: Sequence[str]) -> Iterator[list[ReadyQueue]]:
        for name in queues:
            if name == ANY_QUEUE:
                yield [queue for other, queue in self._queues.items() if other not in queues]
            elif name in self._queues:
                yield [self._queues[name]]

    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """See :meth:`Storage.settle`."""
        with self._lock:
            lost = [outcome.id for outcome in outcomes if not self._settle(outcome)]
            self._settled.notify_all()
        return lost

    def _settle(self, outcome: Outcome) -> bool:
        job = self._jobs.get(outcome.id)
        if job is None:
            return False
        if job.state != State.RUNNING or job.claim != outcome.claim:
            return job == _settled(job, outcome)  # by an earlier try
        self._put(_settled(job, outcome))
        return True

    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """See :meth:`Storage.release`."""
        released = 0
        with self._lock:
            for claimed in jobs:
                job = self._jobs.get(claimed.id)
                if job is not None and job.state == State.RUNNING and job.claim == claimed.claim:
                    self._put(job._replace(state=State.READY, claim=None))
                    released += 1
            self._wake_all()
        return released

    def heartbeat(self, worker: Worker, now: int) -> bool:
        """See :meth:`Storage.heartbeat`."""
        with self._lock:
            was_registered = worker.token in self._workers
            self._workers[worker.token] = (worker, now, now + self._lease)
        return was_registered

    def retire(self, worker: Worker) -> None:
        """See :meth:`Storage.retire`."""
        with self._lock:
            self._workers.pop(worker.token, None)

    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """See :meth:`Storage.rescue`."""
        known = {worker.worker_id: worker for worker in lost}
        rescued = []
        with self._lock:
            for worker, heard_at, leased_until in list(self._workers.values()):
                if worker.id in known or leased_until <= now:
                    del self._workers[worker.token]
                    end = known.get(worker.id) or lease_ended(worker.id, heard_at)
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
                outcome = outcome_of_lost(job, lost, now)
                self._settle(outcome)
                rescued.append(
                    Rescued(
                        job.id, job.task_path, worker.id, outcome.state, lost.has_started(job.id)
                    )
                )
        return rescued

    def stage(self, now: int) -> Staged:
        """See :meth:`Storage.stage`."""
        staged = 0
        with self._lock:
            while (job := self._next_scheduled()) is not None and job.available_at <= now:
                heapq.heappop(self._scheduled)
                self._put(job._replace(state=State.READY))
                staged += 1
            if staged:
                self._wake_all()
            return Staged(staged, None if job is None else job.available_at)

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
                if job is not None and job.state in (State.READY, State.SCHEDULED):
                    self._put(
                        job._replace(
                            state=State.CANCELLED,
                            finished_at=clock_now(),
                            errors=cancelled_errors(job.errors),
                        )
                    )
                    cancelled.append(job_id)
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
            workers = sorted(worker.id for worker, _, _ in self._workers.values())
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
        )

    def prune(self, before: int, limit: int) -> Pruned:
        """See :meth:`Storage.prune`."""
        deleted = 0
        with self._lock:
            while deleted < limit and self._finished and self._finished[0][0] < before:
                _, job_id = heapq.heappop(self._finished)
                del self._jobs[job_id]
                deleted += 1
        return Pruned(deleted, deleted < limit)

    def close(self) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self._interrupted = True
            self._work.notify_all()
            self._settled.notify_all()


def _settled(job: Job, outcome: Outcome) -> Job:
    return job._replace(**outcome._asdict())._replace(claim=None)
