"""The storage verbs: all that a backend does, each over many jobs at once.

A worker runs on these verbs alone. Moments are microseconds; see docs/reference/glossary.md for
the words and docs/reference/states.md for the states.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from mainspring.core import clock, outcomes
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.results import TaskError
from mainspring.exceptions import OutcomeLost, WorkerLost

ANY_QUEUE = "*"
"""In a worker's list of queues: all queues that are not named, as equals."""


class LostWorker(NamedTuple):
    """A worker that is known to be dead, and what it left behind."""

    worker_id: str
    started: Mapping[str, int]
    """The jobs that it was running, by id, with the moment at which it had started each."""
    error: TaskError
    """What these attempts are recorded to have ended with."""
    started_at: int | None = None
    """Where ``started`` is not known: when any of its jobs may have been started."""
    ended: Mapping[str, int] = MappingProxyType({})
    """The jobs that had ended and were not settled, likewise: no fault of theirs."""

    def has_started(self, job_id: str) -> bool:
        """Whether the worker had, or may have, started this job."""
        return self.started_at is not None or job_id in self.started or job_id in self.ended


class Rescued(NamedTuple):
    """One job that was recovered from a lost worker."""

    job_id: str
    task_path: str
    worker_id: str
    state: int
    """Ready again; failed if it has crashed too many workers."""
    was_started: bool


class Staged(NamedTuple):
    """What staging did and when it is to be done next."""

    staged: int
    """How many jobs became ready."""
    next_at: int | None
    """When the next deferred job is due; None if none waits."""


class Pruned(NamedTuple):
    """What one step of pruning did."""

    deleted: int
    is_done: bool
    """Whether all finished results have been looked at."""


class Stats(NamedTuple):
    """How many jobs there are that are not finished, and who works on them."""

    ready: Mapping[str, int]
    """By queue."""
    scheduled: int
    running: int
    oldest_ready_at: int | None
    workers: Sequence[str]


def lease_ended(worker_id: str, heard_at: int) -> LostWorker:
    """Return a worker that was last heard of at ``heard_at`` and has let its lease end."""
    path = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"
    text = (
        f"{path}: worker {worker_id} was last heard of at "
        f"{clock.to_datetime(heard_at).isoformat()}; its lease has ended\n"
    )
    return LostWorker(worker_id, {}, TaskError(path, text), heard_at)


def outcome_of_lost(job: Job, lost: LostWorker, now: int) -> Outcome:
    """Return what becomes of a job that a lost worker had claimed."""
    if not lost.has_started(job.id):
        return outcomes.untouched(job)
    if job.id in lost.ended:
        path = f"{OutcomeLost.__module__}.{OutcomeLost.__qualname__}"
        text = f"{path}: worker {lost.worker_id} died before it could store the outcome\n"
        error = TaskError(path, text)
        return outcomes.lost(job, lost.worker_id, lost.ended[job.id], now, error)
    started_at = lost.started.get(job.id, lost.started_at or now)
    return outcomes.lost(job, lost.worker_id, started_at, now, lost.error)


class Storage(ABC):
    """The verbs of one backend alias; one instance per process, used from many threads."""

    is_closed = False

    @property
    @abstractmethod
    def identity(self) -> str:
        """A text that is the same wherever the same jobs are seen, and only there."""

    @abstractmethod
    def describe(self) -> str:
        """Name the store for people. Raises ``InvalidTaskBackend`` if it cannot be one."""

    @abstractmethod
    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Store new jobs, in the caller's transaction where the store has one."""

    @abstractmethod
    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """Take up to ``limit`` ready jobs exclusively, first the first queue's.

        In each queue by the order of the backend; one claim in
        :data:`~mainspring.core.ordering.FAIR_EVERY` starts with the oldest job instead.
        """

    @abstractmethod
    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """Store outcomes; return the ids of those whose claim no longer held and were dropped.

        To store an outcome that is stored already, as after a lost answer, is no loss.
        """

    def settle_and_claim(
        self, worker: Worker, outcomes: Sequence[Outcome], queues: Sequence[str], limit: int
    ) -> tuple[list[str], list[Job]]:
        """Do :meth:`settle` and :meth:`claim`, in one round trip where the store can."""
        lost = self.settle(worker, outcomes)
        return lost, self.claim(worker, queues, limit) if limit else []

    @abstractmethod
    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """Give back jobs that were claimed and not started; return how many claims still held."""

    @abstractmethod
    def heartbeat(self, worker: Worker, now: int) -> bool:
        """Register the worker or renew its lease; False if it was not registered before."""

    @abstractmethod
    def retire(self, worker: Worker) -> None:
        """Take a worker that has given everything back off the register."""

    @abstractmethod
    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """Recover the jobs of workers that are ``lost`` or whose lease has ended.

        What a lost worker is known to have claimed only becomes ready as it was; what it had
        started, and all jobs of a worker whose lease ended, keeps an error and counts an attempt.
        Where a store outlives its workers, what is claimed by a worker that is not registered is
        recovered, too, if two calls in a row find it so.
        """

    @abstractmethod
    def stage(self, now: int) -> Staged:
        """Make deferred jobs that are due ready."""

    @abstractmethod
    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel jobs that have not started; return the ids of those that were cancelled."""

    @abstractmethod
    def get_results(self, ids: Sequence[str]) -> list[Job]:
        """Return the jobs of these ids that exist, in no particular order."""

    @abstractmethod
    def wait_for_work(self, timeout: float) -> bool:
        """Wait, for at most ``timeout`` seconds, until there may be work; whether woken."""

    @abstractmethod
    def wake(self) -> None:
        """End the present or next :meth:`wait_for_work` of this process."""

    @abstractmethod
    def stats(self) -> Stats:
        """Count the jobs that are not finished."""

    @abstractmethod
    def prune(self, before: int, limit: int) -> Pruned:
        """Delete results that finished before this moment, looking at ``limit`` at most."""

    def close_thread(self) -> None:  # noqa: B027 # a store need not hold anything open
        """Give up what the calling thread holds open in the store."""

    def close(self) -> None:  # noqa: B027
        """Give up everything that is held open in the store."""
