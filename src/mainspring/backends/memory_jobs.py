"""The jobs in the memory of a process, and how one comes to be in a state, under a lock."""

import heapq
import os
import threading
from itertools import count
from typing import TYPE_CHECKING

from mainspring.backends.held_jobs import HeldJobs
from mainspring.backends.locks import renewed
from mainspring.backends.ready_queue import ReadyQueue
from mainspring.backends.storage import Storage
from mainspring.backends.unique_jobs import UniqueJobs
from mainspring.conf import Config
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.core.unique import Unique

if TYPE_CHECKING:
    from mainspring.backends.bells import Bells
    from mainspring.core.leases import Lease


class MemoryJobs(Storage):
    """What the verbs in memory have in common."""

    def __init__(self, config: Config) -> None:
        self._backend = config.alias
        self._lease = config.options.lease
        self._lock = renewed(threading.Lock())
        self._work = renewed(threading.Condition(self._lock))
        self._settled = renewed(threading.Condition(self._lock))
        self._woken = False  # by work to do
        self._interrupted = False  # by wake()
        self.bells: Bells | None = None
        """Where other processes wait for work: what wakes them."""
        self._jobs: dict[str, Job] = {}
        self._unique = UniqueJobs(self._jobs)
        self._queues: dict[str, ReadyQueue] = {}
        self._order = config.options.order
        self._held = HeldJobs(config.options.order, self._jobs)
        self._paused: frozenset[str] = frozenset()
        self._defaults = config.options.policy
        self._scheduled: list[tuple[int, str]] = []
        self._finished: list[tuple[int, str]] = []
        self._workers: dict[int, tuple[Worker, Lease]] = {}
        self._claims = count(1)
        self._turns = count(1)

    @property
    def identity(self) -> str:
        """This process."""
        return f"memory:{os.getpid()}:{self._backend}"

    def describe(self) -> str:
        """See :meth:`Storage.describe`."""
        return "the memory of this process"

    def _put(self, job: Job) -> None:
        self._jobs[job.id] = job
        if job.state == State.READY:
            queue = self._queues.get(job.queue_name)
            if queue is None:
                queue = self._queues[job.queue_name] = ReadyQueue(self._order, self._jobs)
            queue.put(job)
        elif job.state == State.HELD:
            self._held.put(job)
        elif job.state == State.SCHEDULED:
            heapq.heappush(self._scheduled, (job.available_at, job.id))
        elif job.finished_at is not None and not self._is_of_map(job.id):
            heapq.heappush(self._finished, (job.finished_at, job.id))

    def _put_unique(self, job: Job, unique: Unique | None) -> Job:
        # Store a new job unless an equal one is pending; return the one that stands for it.
        if unique is not None:
            pending = self._unique.pending(unique, job.enqueued_at)
            if pending is not None:
                return pending
            self._unique.take(unique, job)
        self._put(job)
        return job

    def _is_of_map(self, job_id: str) -> bool:
        # Such a job stays as long as its map does.
        return False

    def _settle(self, outcome: Outcome) -> bool:
        job = self._jobs.get(outcome.id)
        if job is None:
            return False
        if job.state != State.RUNNING or job.claim != outcome.claim:
            return job == _settled(job, outcome)  # by an earlier try
        self._put(_settled(job, outcome))
        return True

    def _is_held(self, claimed: Job) -> bool:
        job = self._jobs.get(claimed.id)
        return job is not None and job.state == State.RUNNING and job.claim == claimed.claim

    def _wake_all(self) -> None:
        self._woken = True
        self._work.notify_all()
        if self.bells is not None:
            self.bells.ring()

    def add_bell(self, place: int, descriptor: int) -> None:
        """Have one more process woken when there may be work; it is rung once in any case."""
        with self._lock:
            if self.bells is not None:
                self.bells.add(place, descriptor)
                if self._woken:
                    self.bells.ring()


def _settled(job: Job, outcome: Outcome) -> Job:
    return job._replace(**outcome._asdict())._replace(claim=None)
