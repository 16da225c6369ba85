"""The metadata of the calls that run in this process, saved when they end."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from asgiref.sync import sync_to_async

from mainspring.backends.storage import Storage
from mainspring.core.jobs import Job
from mainspring.core.notes import Notes
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.guard import Guard

if TYPE_CHECKING:
    from mainspring.runtime.atomic import Within

logger = logging.getLogger("mainspring")

_MOST_CANCELS: Final = 100  # of the asyncio task, while metadata is saved


class RunningNotes:
    """The metadata of the calls that take their context."""

    def __init__(self, storage: Storage, guard: Guard, max_payload: int) -> None:
        self.by_job: dict[str, Notes] = {}
        """The metadata of all running calls, for saving their progress."""
        self._storage = storage
        self._guard = guard
        self._max_payload = max_payload

    def new(self, job: Job, within: "Within | None" = None) -> Notes:
        """Return the metadata of a starting call, saved in the transaction ``within``, if any."""
        saves = self._storage.save_metadata if within is None else within.save

        def save(metadata: bytes | None) -> None:
            with self._guard.sparing(job.id):
                saves(job, metadata)

        notes = Notes(job.metadata, save, self._max_payload, threading.Lock())
        self.by_job[job.id] = notes
        return notes

    def renew(self) -> None:
        """Reset the locks in a process that a call has forked, so that it can save metadata."""
        for notes in self.by_job.values():
            notes.renew(threading.Lock())

    def forget(self, job: Job) -> None:
        """Discard the unsaved metadata of a call."""
        self.by_job.pop(job.id, None)

    def end(self, job: Job) -> Job:
        """Save the metadata of a call that returned; return the job with it.

        Raises ``TypeError`` or ``ValueError`` if it is not JSON.
        """
        return self._end(job, StoreUnavailable)

    def end_failed(self, job: Job) -> Job:
        """Save the metadata of a call that failed; return the job with it."""
        # Metadata that is not JSON must not hide the task's own error.
        return self._end(job, (StoreUnavailable, TypeError, ValueError))

    def _end(self, job: Job, borne: type[Exception] | tuple[type[Exception], ...]) -> Job:
        notes = self.by_job.pop(job.id, None)
        if notes is None:
            return job
        try:
            notes.save()
        except borne as error:
            logger.warning(
                "The metadata of task id=%s path=%s is not saved: %s",
                job.id,
                job.task_path,
                error,
                extra={"task_id": job.id, "task_path": job.task_path},
            )
        return job._replace(metadata=notes.saved)

    async def aend(self, job: Job) -> Job:
        """See :meth:`end`; completes even if the asyncio task is cancelled meanwhile."""
        return await self._aend(job, self.end)

    async def aend_failed(self, job: Job) -> Job:
        """See :meth:`end_failed` and :meth:`aend`."""
        return await self._aend(job, self.end_failed)

    async def _aend(self, job: Job, end: Callable[[Job], Job]) -> Job:
        if job.id not in self.by_job:
            return job
        ended: list[Job] = []

        def end_once() -> None:
            if not ended:
                ended.append(end(job))

        for _ in range(_MOST_CANCELS):
            with suppress(asyncio.CancelledError):
                await sync_to_async(end_once)()
                break
        return ended[0] if ended else job
