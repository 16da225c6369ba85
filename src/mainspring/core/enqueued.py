"""The results of many calls that were enqueued together."""

from collections.abc import Sequence
from typing import Any, overload

from mainspring.core.jobs import Job
from mainspring.core.results import TaskResult


class EnqueuedResults[R](Sequence[TaskResult[R]]):
    """The results of :meth:`Task.enqueue_many`, in the order of the calls.

    Each is made when it is looked at: most callers look at none, and making them all takes as long
    as encoding the calls.
    """

    __slots__ = ("_jobs",)

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs

    @property
    def ids(self) -> list[str]:
        """The ids, without the results."""
        return [job.id for job in self._jobs]

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> TaskResult[R]: ...
    @overload
    def __getitem__(self, index: slice) -> "EnqueuedResults[R]": ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return EnqueuedResults[R](self._jobs[index])
        return TaskResult.from_job(self._jobs[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment] # as lists have none

    def __repr__(self) -> str:
        return f"<EnqueuedResults of {len(self):,} calls>"
