"""The jobs that wait for limits, for a store in memory."""

from collections.abc import Callable, Collection, Iterable
from itertools import count

from mainspring.backends.ready_queue import ReadyQueue, first_of
from mainspring.core.admission import Admitted, Candidate, Look, Seen, Usage, usage_of
from mainspring.core.jobs import Job, State
from mainspring.core.limits import known_bounds_of
from mainspring.core.ordering import FAIR_EVERY


class HeldJobs:
    """By limit group, the jobs that wait; the caller holds a lock."""

    def __init__(self, order: str, jobs: dict[str, Job]) -> None:
        """``jobs`` are those of the store, by id, as they are at each moment."""
        self._order = order
        self._jobs = jobs
        self._queues: dict[tuple[str, str], ReadyQueue] = {}  # by limit group and queue
        self._usages: dict[str, Usage] = {}
        self._turns = count(1)

    def put(self, job: Job) -> None:
        """Add a job that waits."""
        key = (job.limit_group or "", job.queue_name)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = ReadyQueue(self._order, self._jobs, State.HELD)
        queue.put(job)

    @property
    def has_any(self) -> bool:
        """Whether any job waits."""
        self._forget_empty()
        return bool(self._queues)

    def admit(
        self,
        now: int,
        freed: Collection[str] | None,
        paused: Collection[str],
        make_ready: Callable[[Job], None],
    ) -> Admitted:
        """See :meth:`Storage.admit`; has ``make_ready`` called for each job that may go on."""
        self._forget_empty()
        if freed is None:
            self._sweep(now)
        look = self._look(freed, now)
        admitted = 0
        while waiting := self._first_in_line(look, paused):
            by_age = not admitted and next(self._turns) % FAIR_EVERY == 0
            job = first_of(waiting, by_age)
            if job is None:
                break
            look.choose([Candidate(job.id, job.limit_group or "", 0, 0)])
            make_ready(job)
            admitted += 1
        return Admitted(admitted, look.next_at())

    def _forget_empty(self) -> None:
        for key, queue in list(self._queues.items()):
            if queue.peek() is None:
                del self._queues[key]

    def _sweep(self, now: int) -> None:
        for name, usage in list(self._usages.items()):
            usage.look(self._seen(usage.ids), now)
            if usage.idle_at(now) <= now:
                del self._usages[name]

    def _look(self, freed: Collection[str] | None, now: int) -> Look:
        groups = {group for group, _ in self._queues}
        if freed is not None:
            names = {bound.name for group in freed for bound in known_bounds_of(group)}
            groups = {g for g in groups if any(bound.name in names for bound in known_bounds_of(g))}
        for bound in {bound for group in groups for bound in known_bounds_of(group)}:
            if bound.name not in self._usages:
                self._usages[bound.name] = usage_of(bound.name)
        look = Look(groups, self._usages)
        look.see(self._seen(look.ids), now)
        return look

    def _seen(self, ids: Iterable[str]) -> dict[str, Seen]:
        return {
            job_id: Seen(job.state, job.last_attempted_at)
            for job_id in ids
            if (job := self._jobs.get(job_id)) is not None
        }

    def _first_in_line(self, look: Look, paused: Collection[str]) -> list[ReadyQueue]:
        rooms = look.rooms()
        return [
            queue
            for (group, name), queue in self._queues.items()
            if group in rooms and name not in paused and queue.peek() is not None
        ]
