"""The ready jobs of MemoryBackend, on Python's own :class:`queue.PriorityQueue`."""

import heapq
from collections.abc import Sequence
from queue import PriorityQueue
from typing import Any, Final

from mainspring.core.clock import to_moment
from mainspring.core.jobs import Job, State
from mainspring.core.ordering import KEYS
from mainspring.core.results import TaskResult

_SLACK: Final = 64


class ReadyQueue:
    """The ready jobs of one queue, or those of another state, by order and by age.

    Entries are never searched for: one whose job is not ready any more is dropped when met.
    """

    def __init__(self, order: str, jobs: dict[str, Job], state: State = State.READY) -> None:
        self._jobs = jobs
        self._state = state
        self._key = None if order == "lifo" else KEYS[order]
        self._ordered: PriorityQueue[Any] = PriorityQueue()
        self._by_age: list[tuple[int, str]] = []

    def put(self, job: Job) -> None:
        """Add a job that has come to be in the state."""
        # Made to be in the order by when the job became available, which a retry moves; without
        # the options, which make a row of a map look like its first call.
        plain = job._replace(run_after=job.available_at, options=None)
        result: TaskResult[Any] = TaskResult.from_job(plain)
        # Results are in the default order themselves.
        self._ordered.put(result if self._key is None else (self._key(result), result))
        heapq.heappush(self._by_age, (job.available_at, job.id))
        self._drop_stale()

    def _drop_stale(self) -> None:
        # Of what one side hands out, the other keeps an entry: rebuild the longer one.
        ordered = self._ordered.queue
        if len(self._by_age) > 2 * len(ordered) + _SLACK:
            self._by_age = [entry for entry in self._by_age if self._ready(*entry)]
            heapq.heapify(self._by_age)
        elif len(ordered) > 2 * len(self._by_age) + _SLACK:
            ordered[:] = [entry for entry in ordered if self._job_of(self._result(entry))]
            heapq.heapify(ordered)

    def _result(self, entry: Any) -> TaskResult[Any]:
        result: TaskResult[Any] = entry if self._key is None else entry[1]
        return result

    def _ready(self, available_at: int, job_id: str) -> Job | None:
        job = self._jobs.get(job_id)
        if job is None or job.state != self._state or job.available_at != available_at:
            return None
        return job

    def _job_of(self, result: TaskResult[Any]) -> Job | None:
        return self._ready(to_moment(result.available_at), result.id)

    def peek(self) -> TaskResult[Any] | None:
        """Return the first result in the order."""
        while self._ordered.queue:
            result = self._result(self._ordered.queue[0])
            if self._job_of(result):
                return result
            self._ordered.get_nowait()
        return None

    def peek_oldest(self) -> Job | None:
        """Return the job that has waited longest."""
        while self._by_age:
            if job := self._ready(*self._by_age[0]):
                return job
            heapq.heappop(self._by_age)
        return None

    def job(self, job_id: str) -> Job:
        """Return the job of a result."""
        return self._jobs[job_id]

    def sort_key(self, result: TaskResult[Any]) -> Any:
        """Return what the first results of several queues are compared by."""
        return result if self._key is None else self._key(result)


def first_of(group: Sequence[ReadyQueue], by_age: bool) -> Job | None:
    """Return the first job of several queues that are equals, by the order or by age."""
    if by_age:
        oldest = [job for queue in group if (job := queue.peek_oldest()) is not None]
        return min(oldest, key=lambda job: (job.available_at, job.id), default=None)
    firsts = [(result, queue) for queue in group if (result := queue.peek()) is not None]
    if not firsts:
        return None
    result, queue = min(firsts, key=lambda first: first[1].sort_key(first[0]))
    return queue.job(result.id)
