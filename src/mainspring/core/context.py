"""TaskContext: what a task that takes its context gets."""

from datetime import datetime
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async

from mainspring.core import clock
from mainspring.core.notes import Notes, schedule_in
from mainspring.core.results import TaskResult


class TaskContext(NamedTuple):
    """What a task that takes its context gets as its first argument."""

    task_result: TaskResult[Any]
    notes: Notes | None = None
    """Where :attr:`metadata` is kept and saved from."""

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.task_result.attempts

    @property
    def schedule(self) -> str | None:
        """The name of the schedule that enqueued this call; None where somebody else did."""
        told = schedule_in(self.task_result.noted)
        return None if told is None else told["name"]

    @property
    def tick(self) -> datetime | None:
        """The moment at which that schedule was due, whenever the call was enqueued or started."""
        told = schedule_in(self.task_result.noted)
        if told is None:
            return None
        return clock.to_datetime(clock.to_moment(datetime.fromisoformat(told["tick"])))

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller and earlier attempts have noted down, to be read and changed.

        It is saved when the attempt ends, however it ends, and by :meth:`save_metadata`. Keys that
        begin with ``_`` are reserved.
        """
        return self.task_result.metadata if self.notes is None else self.notes.metadata

    def save_metadata(self) -> None:
        """Save :attr:`metadata` now, for others to see.

        Raises ``TypeError`` or ``ValueError`` where it is not JSON or has a reserved key.
        """
        if self.notes is not None:
            self.notes.save()

    async def asave_metadata(self) -> None:
        """See :meth:`save_metadata`."""
        await sync_to_async(self.save_metadata)()

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the task is: ``result.progress`` shows it to others.

        May be called as often as there is something to say, from sync and async tasks: it is
        written a few times a second at most, and when the attempt ends.
        """
        if self.notes is not None:
            self.notes.say(done, total, message)
