"""The storage verbs: all that a backend does, each over many jobs at once.

A worker runs on these verbs alone. Moments are microseconds; see docs/reference/glossary.md for
the words and docs/reference/states.md for the states.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from mainspring.backends.map_storage import MapStorage
from mainspring.backends.schedule_storage import ScheduleStorage
from mainspring.backends.settle_storage import SettleStorage
from mainspring.backends.transactions import Transaction
from mainspring.backends.wait_storage import WaitStorage
from mainspring.core import clock
from mainspring.core.admission import Admitted
from mainspring.core.dividing import Reached
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.leases import Lease
from mainspring.core.unique import Unique
from mainspring.exceptions import WorkerLost

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
    """Finished jobs that were not settled, with their start times; not blamed for the crash."""
    overdue: Mapping[str, str] = MappingProxyType({})
    """Those of ``started`` for which the worker was killed, as they did not end when told to; each
    with the stack where it was."""
    reached: Mapping[str, Reached] = MappingProxyType({})
    """Of the rows of maps that it had started: how far it had come with each."""
    lease: Lease | None = None
    """Where all that is known is that its lease has ended: that one. If it was renewed since, the
    worker lives."""

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
    error: TaskError
    """What its attempt is recorded to have ended with, if it was started."""


class Staged(NamedTuple):
    """The result of staging, and when it is next due."""

    staged: int
    """How many jobs became ready."""
    next_at: int | None
    """When the next deferred job is due; None if none waits."""
    has_held: bool = False
    """Whether any job waits for limits, so that :meth:`Storage.admit` is worth a try."""


class Pruned(NamedTuple):
    """What one step of pruning did."""

    deleted: int
    is_done: bool
    """Whether all finished results have been looked at."""


class Stats(NamedTuple):
    """The numbers of unfinished jobs, and the workers."""

    ready: Mapping[str, int]
    """By queue."""
    scheduled: int
    running: int
    oldest_ready_at: int | None
    workers: Sequence[str]
    held: int = 0
    """How many wait for limits."""
    paused: Sequence[str] = ()
    """The queues that nothing is claimed from, by name."""


def lease_ended(lease: Lease) -> LostWorker:
    """Return a worker that has let its lease end."""
    path = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"
    text = (
        f"{path}: worker {lease.worker_id} was last heard of at "
        f"{clock.to_datetime(lease.heard_at).isoformat()}; its lease has ended\n"
    )
    return LostWorker(lease.worker_id, {}, TaskError(path, text), lease.heard_at, lease=lease)


class Storage(SettleStorage, MapStorage, ScheduleStorage, WaitStorage):
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

    def enqueue_as_made(self, batches: Iterator[Sequence[Job]]) -> None:
        """Store jobs that are still being made, all or none; what making them raises is raised.

        A store on a server may store the first while the next are made.
        """
        self.enqueue([job for batch in batches for job in batch])

    def enqueue_batches(self, batches: Callable[[], Iterator[Sequence[Job]]]) -> None:
        """Store more jobs than memory is to hold, all or none; ``batches`` may be called again."""
        self.enqueue_as_made(batches())

    @abstractmethod
    def enqueue_unique(self, calls: Sequence[tuple[Job, Unique | None]]) -> list[Job]:
        """Store new jobs, all or none, but for those whose equals are pending.

        Return for each job the one that stands for it: itself, an equal one that counts as
        pending, or the first of its equals among ``calls``. With None, a job has no equals. In the
        caller's transaction where the store has one: then others that enqueue an equal job wait
        for its end, and a job that is returned and waits to start does not start before it.
        """

    @abstractmethod
    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """Take up to ``limit`` ready jobs exclusively, first the first queue's.

        None of queues that :meth:`find_paused` has found paused when it last looked.

        In each queue by the order of the backend; one claim in
        :data:`~mainspring.core.ordering.FAIR_EVERY` starts with the oldest job instead.
        """

    def settle_and_claim(
        self,
        worker: Worker,
        outcomes: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        freed: Collection[str] = (),
    ) -> tuple[list[str], list[Job]]:
        """Do :meth:`settle` and :meth:`claim`, in one round trip where the store can.

        Between the two, :meth:`admit` for the limit groups that are ``freed``, if any: those of
        what is settled.
        """
        lost = self.settle(worker, outcomes)
        if freed:
            self.admit(clock.now(), freed)
        return lost, self.claim(worker, queues, limit) if limit else []

    def atomic(self) -> Transaction:
        """Begin a transaction in the calling thread, for tasks to run and be settled in.

        Only where the backend's ``supports_atomic_tasks`` is True.
        """
        raise NotImplementedError

    def stored(self, outcomes: Sequence[Outcome]) -> set[str]:
        """Return the ids of the outcomes already stored. Only with ``supports_atomic_tasks``."""
        raise NotImplementedError

    @abstractmethod
    def heartbeat(self, worker: Worker, now: int) -> bool:
        """Register the worker or renew its lease; False if it was not registered before."""

    @abstractmethod
    def retire(self, worker: Worker) -> None:
        """Unregister a worker that has given back all its jobs."""

    @abstractmethod
    def leases(self) -> list[Lease]:
        """Return the leases of all registered workers."""

    @abstractmethod
    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """Recover the jobs of workers that are ``lost``, unless they have renewed their lease.

        What a lost worker is known to have claimed only becomes ready as it was; what it had
        started, and all jobs of a worker whose lease ended, keeps an error and counts an attempt.
        Where a store outlives its workers, what is claimed by a worker that is not registered is
        recovered, too, if two calls in a row find it so.
        """

    def find_blocker(self) -> int | None:
        """Return the id of the process that keeps all others from writing, or None if unknown.

        Only for stores where one process can do that, on systems that report which one it is.
        """
        return None

    @abstractmethod
    def stage(self, now: int) -> Staged:
        """Make deferred jobs that are due ready; those that have limits wait for these first."""

    def restore(self, readable: int) -> int:
        """Make jobs due that were set aside for a format up to ``readable``; return their number.

        They keep their place in the order. Only for stores that outlive their workers.
        """
        return 0

    @abstractmethod
    def admit(self, now: int, freed: Collection[str] | None = None) -> Admitted:
        """Make jobs ready that wait for limits, as far as there is room, in the order.

        Of all limit groups; or of those that share a limit with some that are ``freed``, where it
        was their jobs that ended. Jobs of queues that are paused go on waiting. One look in
        :data:`~mainspring.core.ordering.FAIR_EVERY` begins with the job that has waited longest.
        """

    @abstractmethod
    def pause(self, queue: str) -> bool:
        """Pause a queue. Return False if it was already paused."""

    @abstractmethod
    def resume(self, queue: str) -> bool:
        """Resume a queue. Return False if it was not paused."""

    @abstractmethod
    def find_paused(self) -> frozenset[str]:
        """Return the queues that are paused, and have claims of this process leave them out."""

    @abstractmethod
    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel jobs that have not finished; return the ids of those that were cancelled.

        A worker that runs one loses its claim; see :meth:`claims_held`.
        """

    @abstractmethod
    def claims_held(self, jobs: Sequence[Job]) -> set[str]:
        """Return the ids of those jobs whose claims, as these jobs have them, still hold."""

    @abstractmethod
    def save_metadata(self, job: Job, metadata: bytes | None) -> bool:
        """Store the metadata of a claimed job, if its claim still holds; whether it does."""

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

    def may_need_vacuum(self) -> bool:
        """Return True if :meth:`vacuum` may be worthwhile. A cheap check without I/O."""
        return False

    def vacuum(self) -> bool:
        """Reclaim the space of settled jobs if that is due. Return True if it was.

        This may take long. Stores that reclaim space by themselves do nothing.
        """
        return False

    def close_thread(self) -> None:  # a store need not hold anything open
        """Give up what the calling thread holds open in the store."""

    def close(self) -> None:
        """Give up everything that is held open in the store."""
