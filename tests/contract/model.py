"""What the storage verbs do, in plain Python: the model that every store is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mainspring.core import codec, outcomes
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.core.ordering import FAIR_EVERY
from tests.contract.jobs import LEASE

LOST = "mainspring.exceptions.WorkerLost"
CANCELLED = "mainspring.exceptions.TaskCancelled"


@dataclass
class Entry:
    """One job as it should be."""

    job: Job
    """As it was enqueued."""
    state: State
    available_at: int
    claim: int | None = None
    owner: Worker | None = None
    attempts: list[str] = field(default_factory=list)
    """The ids of the workers that it was started by."""
    errors: list[str] = field(default_factory=list)
    """The classes of the errors of its attempts."""
    metadata: bytes | None = None
    finished_at: int | None = None


class Model:
    """A store without a store."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.entries: dict[str, Entry] = {}
        self.leases: dict[Worker, int] = {}
        self.looks = 0
        self.deviations = 0

    def in_state(self, *states: State) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.state in states]

    def enqueue(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.entries[job.id] = Entry(
                job, State(job.state), job.available_at, metadata=job.metadata
            )

    # Claims

    def groups(self, queues: Sequence[str]) -> list[list[Entry]]:
        """Return what is ready, by preference; in each group in the order, ties in any."""
        ready = self.in_state(State.READY)
        groups = []
        for name in queues:
            if name == "*":
                group = [entry for entry in ready if entry.job.queue_name not in queues]
            else:
                group = [entry for entry in ready if entry.job.queue_name == name]
            group.sort(key=self.key)
            groups.append(group)
        return groups

    def key(self, entry: Entry) -> tuple[int, int]:
        moment = entry.available_at
        return -entry.job.priority, -moment if self.order == "lifo" else moment

    def claim(
        self, worker: Worker, queues: Sequence[str], limit: int, claimed: Sequence[Job]
    ) -> None:
        """Take note of a claim; raise if it was not one that is allowed."""
        assert len({job.id for job in claimed}) == len(claimed)
        groups = self.groups(queues)
        taken = [self.entries[job.id] for job in claimed]
        is_in_order, rest = True, limit
        for group in groups:
            part, taken = taken[: min(len(group), rest)], taken[min(len(group), rest) :]
            assert len(part) == min(len(group), rest), "fewer were claimed than there were"
            rest -= len(part)
            assert all(entry in group for entry in part), "what was not ready was claimed"
            if [self.key(entry) for entry in part] != [self.key(e) for e in group[: len(part)]]:
                is_in_order = False
                assert part[0].available_at == min(entry.available_at for entry in group), (
                    "neither in the order nor starting with the oldest"
                )
        assert not taken, "more were claimed than there were"
        # An empty look may be followed by a second one, which takes a turn as well.
        self.looks += 1 if claimed else 2
        self.deviations += not is_in_order
        assert self.deviations <= self.looks / FAIR_EVERY, "the order is left too often"
        for job in claimed:
            entry = self.entries[job.id]
            assert job.claim is not None
            assert worker.first_claim <= job.claim <= worker.last_claim
            assert job.claim != entry.claim, "a claim's number came twice"
            assert self.is_told_of(entry, job), "a claim does not tell of the job as it is"
            entry.state, entry.claim, entry.owner = State.RUNNING, job.claim, worker

    def holds(self, job: Job) -> bool:
        """Whether a claim still holds."""
        entry = self.entries.get(job.id)
        return entry is not None and entry.state == State.RUNNING and entry.claim == job.claim

    def is_told_of(self, entry: Entry, job: Job) -> bool:
        """Whether a job, as it was read, has what its earlier attempts left."""
        errors = [path for path, *_ in codec.decode(job.errors or b"[]")]
        return (
            job.available_at == entry.available_at
            and job.metadata == entry.metadata
            and codec.decode(job.worker_ids or b"[]") == entry.attempts
            and errors == entry.errors
        )

    def settle(self, job: Job, outcome: Outcome) -> bool:
        """Take note of an outcome; return whether the claim held."""
        if not self.holds(job):
            return False
        entry = self.entries[job.id]
        entry.state, entry.available_at = State(outcome.state), outcome.available_at
        entry.finished_at = outcome.finished_at
        entry.attempts = codec.decode(outcome.worker_ids or b"[]")
        entry.errors = [path for path, *_ in codec.decode(outcome.errors or b"[]")]
        return True

    def save_metadata(self, job: Job, metadata: bytes | None) -> bool:
        """Take note of metadata; return whether the claim held."""
        if not self.holds(job):
            return False
        self.entries[job.id].metadata = metadata
        return True

    def release(self, job: Job) -> bool:
        if not self.holds(job):
            return False
        self.entries[job.id].state = State.READY
        return True

    # Workers

    def heartbeat(self, worker: Worker, now: int) -> bool:
        was_registered = worker in self.leases
        self.leases[worker] = now + LEASE
        return was_registered

    def rescue(self, now: int, started_by: dict[str, set[str]]) -> dict[str, tuple[State, bool]]:
        """Return what is rescued: of workers known to be dead, and where a lease has ended."""
        rescued = {}
        for worker, until in list(self.leases.items()):
            if worker.id not in started_by and until > now:
                continue
            del self.leases[worker]
            for job_id, entry in self.entries.items():
                if entry.state == State.RUNNING and entry.owner == worker:
                    was_started = worker.id not in started_by or job_id in started_by[worker.id]
                    if was_started:
                        self._crash(entry, worker, now)
                    else:
                        entry.state = State.READY
                    rescued[job_id] = (entry.state, was_started)
        return rescued

    def _crash(self, entry: Entry, worker: Worker, now: int) -> None:
        entry.attempts.append(worker.id)
        entry.errors.append(LOST)
        if entry.errors.count(LOST) >= outcomes.MAX_CRASHES:
            entry.state, entry.finished_at = State.FAILED, now
        else:
            entry.state = State.READY

    # The rest

    def stage(self, now: int) -> tuple[int, int | None]:
        waiting = self.in_state(State.SCHEDULED)
        due = [entry for entry in waiting if entry.available_at <= now]
        for entry in due:
            entry.state = State.READY
        later = [entry.available_at for entry in waiting if entry.available_at > now]
        return len(due), min(later, default=None)

    def cancel(self, ids: Sequence[str]) -> list[str]:
        cancelled = []
        for job_id in dict.fromkeys(ids):
            entry = self.entries.get(job_id)
            if entry is not None and not entry.state.is_final:
                entry.state, entry.finished_at = State.CANCELLED, None  # it is the real time
                entry.errors.append(CANCELLED)
                cancelled.append(job_id)
        return cancelled

    def prune(self, before: int) -> list[str]:
        deleted = [
            job_id
            for job_id, entry in self.entries.items()
            if entry.finished_at is not None and entry.finished_at < before
        ]
        for job_id in deleted:
            del self.entries[job_id]
        return deleted
