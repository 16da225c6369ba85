"""TaskResult: a light, immutable tuple."""

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple, Self, cast

from asgiref.sync import sync_to_async
from django.tasks import TaskResultStatus, task_backends

from mainspring.core import clock, codec, ordering, registry
from mainspring.core.chunks import as_seen
from mainspring.core.errors import TaskError, errors_in, packed, unpacked
from mainspring.core.history import attempts_in, workers_in
from mainspring.core.jobs import STATUS, Job, status_of
from mainspring.core.notes import Progress, metadata_in, progress_in
from mainspring.core.policy import carried_fields
from mainspring.core.stored_history import stored_workers
from mainspring.core.tasks import Task

_FINAL: Final = (TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED)


class _Fields(NamedTuple):
    # What a result holds. Arguments and return value stay the JSON bytes that the backend stores:
    # immutable, 40 bytes instead of a list's and a dict's 150, and decoded when looked at.
    id: str
    status: TaskResultStatus
    task_path: str
    queue_name: str
    priority: int
    run_after: datetime | None
    backend: str
    enqueued_at: datetime
    arguments: bytes = codec.NO_ARGUMENTS
    started_at: datetime | None = None
    last_attempted_at: datetime | None = None
    finished_at: datetime | None = None
    worker_log: tuple[str, ...] = ()
    error_log: tuple[TaskError, ...] = ()
    returned: bytes | None = None
    options: bytes | None = None
    noted: bytes | None = None


class TaskResult[R](_Fields):
    """One call of a task and what is known of it: a snapshot, never changed in place.

    Has everything that Django's ``TaskResult`` has, under the same names. Differs in that
    :meth:`refresh` returns a new result, that :attr:`task` is imported when asked for, and that
    results compare: ``a < b`` when ``a`` is to run before ``b`` (:mod:`mainspring.core.ordering`).
    Two reads are equal when id, status and ``last_attempted_at`` are.
    """

    __slots__ = ()

    @classmethod
    def from_job(cls, job: Job) -> Self:
        """Return what a stored job shows from outside."""
        if job.options is not None:
            job = as_seen(job)
        optional = clock.to_optional_datetime
        # tuple.__new__ itself takes half the time of the one that NamedTuple writes in Python.
        return tuple.__new__(
            cls,
            (
                job.id,
                status_of(job.state),
                job.task_path,
                job.queue_name,
                job.priority,
                optional(job.run_after),
                job.backend,
                clock.to_datetime(job.enqueued_at),
                job.arguments,
                optional(job.started_at),
                optional(job.last_attempted_at),
                optional(job.finished_at),
                () if job.worker_ids is None else tuple(stored_workers(job.worker_ids)),
                () if job.errors is None else errors_in(job.errors),
                job.return_value,
                job.options,
                job.metadata,
            ),
        )

    @property
    def task(self) -> Task[..., R]:
        """The task, imported now, with this call's priority, queue, backend and ``run_after``.

        Raises :class:`~mainspring.exceptions.TaskNotFound` if it no longer exists, and
        ``InvalidTask`` or ``InvalidTaskBackend`` if the settings no longer allow such a call.
        """
        task = registry.resolve(self.task_path)
        changes: dict[str, Any] = {
            name: value
            for name, value in (
                ("priority", self.priority),
                ("queue_name", self.queue_name),
                ("run_after", self.run_after),
                ("backend", self.backend),
            )
            if getattr(task, name) != value
        }
        if self.options is not None:
            changes.update(carried_fields(self.options))
        return replace(task, **changes) if changes else task

    @property
    def args(self) -> list[Any]:
        """The positional arguments, as JSON brings them back; a new list each time."""
        return codec.decode_call(self.arguments)[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments, as JSON brings them back; a new dict each time."""
        return codec.decode_call(self.arguments)[1]

    @property
    def errors(self) -> list[TaskError]:
        """The errors of all attempts, oldest first; a new list each time.

        Of more than 32 errors, only the first 8 and the last 24 are kept, and between them an
        :class:`~mainspring.exceptions.ErrorsOmitted` with the number of the others. Fewer are kept
        if they would take more than 512 KiB.
        """
        return list(self.error_log)

    @property
    def worker_ids(self) -> list[str]:
        """The workers of all attempts, oldest first; of many, only the first 8 and last 24.

        A new list each time.
        """
        return workers_in(self.worker_log)

    @property
    def return_value(self) -> R:
        """What the task returned, as JSON brings it back.

        Raises ``ValueError`` if the task failed or has not finished yet.
        """
        if self.status == TaskResultStatus.SUCCESSFUL:
            return cast("R", codec.decode_value(self.returned))
        if self.status == TaskResultStatus.FAILED:
            raise ValueError("Task failed")
        raise ValueError("Task has not finished yet")

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller and the task have noted down; a new dict each time."""
        return metadata_in(self.noted)

    @property
    def progress(self) -> Progress | None:
        """How far the task is, as it last said; None if it never did."""
        return progress_in(self.noted)

    @property
    def is_finished(self) -> bool:
        """Whether the call has its final outcome."""
        return self.status in _FINAL

    @property
    def attempts(self) -> int:
        """How often the call was started."""
        return attempts_in(self.worker_log)

    @property
    def available_at(self) -> datetime:
        """The moment from which the call may start: ``run_after``, else ``enqueued_at``."""
        return self.run_after or self.enqueued_at

    def refresh(self) -> Self:
        """Return the result as the backend has it now; this one stays as it is.

        Raises ``TaskResultDoesNotExist`` if it was deleted.
        """
        return cast("Self", _backend(self.backend).get_result(self.id))

    async def arefresh(self) -> Self:
        """See :meth:`refresh`."""
        return cast("Self", await _backend(self.backend).aget_result(self.id))

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the call has finished, successfully or not, and return that result.

        ``timeout`` is in seconds; None waits without end. Raises ``TimeoutError`` after it, and
        :class:`~mainspring.exceptions.StoreUnavailable` where the store could not be reached then,
        or for 30 s.
        """
        if self.is_finished:
            return self
        return cast("Self", _backend(self.backend).wait_for_result(self.id, timeout))

    async def await_result(self, timeout: float | None = None) -> Self:  # noqa: ASYNC109 # as wait()
        """See :meth:`wait`; ``await result`` does this without a timeout."""
        if self.is_finished:
            return self
        return cast("Self", await _backend(self.backend).await_for_result(self.id, timeout))

    def cancel(self) -> bool:
        """Cancel the call; whether that was still possible.

        One that has not started never does. In one that runs, ``TaskCancelled`` is raised within a
        second, wherever it runs; if it does not end then, its process is killed. Either way the
        result is final from now on: FAILED, with a ``TaskCancelled`` among its errors.
        """
        return cast("bool", _backend(self.backend).cancel_result(self.id))

    async def acancel(self) -> bool:
        """See :meth:`cancel`."""
        return await sync_to_async(self.cancel)()

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.await_result().__await__()

    def _identity(self) -> tuple[str, TaskResultStatus, datetime | None]:
        return self.id, self.status, self.last_attempted_at

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TaskResult):
            return self._identity() == other._identity()
        # No plain tuple is a result; left to it, tuple's own == would compare all items.
        return False if isinstance(other, tuple) else NotImplemented

    def __ne__(self, other: object) -> bool:
        if isinstance(other, TaskResult):
            return self._identity() != other._identity()
        return True if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __lt__(self, other: object) -> bool:
        return self._goes_before(_result(self, "<", other))

    def __gt__(self, other: object) -> bool:
        return _result(self, ">", other)._goes_before(self)

    def __le__(self, other: object) -> bool:
        return not _result(self, "<=", other)._goes_before(self)

    def __ge__(self, other: object) -> bool:
        return not self._goes_before(_result(self, ">=", other))

    def _goes_before(self, other: "TaskResult[Any]") -> bool:
        if self.priority != other.priority:
            return self.priority > other.priority
        mine, others = self.available_at, other.available_at
        if mine.tzinfo is None or others.tzinfo is None:
            # Without USE_TZ: the hour that comes twice when summer time ends has its order, too.
            return ordering.lifo(self) < ordering.lifo(other)
        return mine > others if mine != others else self.id > other.id

    def __reduce__(self) -> tuple[Any, ...]:
        # Plain numbers and bytes: a third of the size and of the time of pickling the datetimes.
        optional = clock.to_optional_moment
        return _unpickle, (
            type(self) if type(self) is not TaskResult else None,
            self.id,
            STATUS.index(self.status),
            self.task_path,
            self.queue_name,
            self.priority,
            optional(self.run_after),
            self.backend,
            clock.to_moment(self.enqueued_at),
            self.arguments,
            optional(self.started_at),
            optional(self.last_attempted_at),
            optional(self.finished_at),
            self.worker_log,
            tuple(map(packed, self.error_log)),
            self.returned,
            self.options,
            self.noted,
        )


def _backend(alias: str) -> Any:
    return task_backends[alias]


def _result(mine: TaskResult[Any], sign: str, other: object) -> TaskResult[Any]:
    if isinstance(other, TaskResult):
        return other
    # Not NotImplemented: with a plain tuple, Python would go on to compare item by item.
    raise TypeError(
        f"{sign!r} not supported between instances of {type(mine).__name__!r} and "
        f"{type(other).__name__!r}"
    )


def _unpickle(
    cls: type[TaskResult[Any]] | None,
    id: str,  # noqa: A002 # the field's own name
    status: int,
    task_path: str,
    queue_name: str,
    priority: int,
    run_after: int | None,
    backend: str,
    enqueued_at: int,
    arguments: bytes,
    started_at: int | None,
    last_attempted_at: int | None,
    finished_at: int | None,
    worker_log: tuple[str, ...],
    errors: tuple[tuple[Any, ...], ...],
    returned: bytes | None,
    options: bytes | None = None,
    noted: bytes | None = None,
) -> TaskResult[Any]:
    optional = clock.to_optional_datetime
    return tuple.__new__(
        cls or TaskResult,
        (
            id,
            STATUS[status],
            task_path,
            queue_name,
            priority,
            optional(run_after),
            backend,
            clock.to_datetime(enqueued_at),
            arguments,
            optional(started_at),
            optional(last_attempted_at),
            optional(finished_at),
            worker_log,
            tuple(map(unpacked, errors)) if errors else (),
            returned,
            options,
            noted,
        ),
    )
