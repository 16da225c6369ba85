"""MapResult: the handle on all calls of a map. It holds none of them."""

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from asgiref.sync import sync_to_async
from django.tasks import task_backends

from mainspring.core import registry

if TYPE_CHECKING:
    from mainspring.core.results import TaskResult
    from mainspring.core.tasks import Task


class MapProgress(NamedTuple):
    """How far a map was at one moment, in calls."""

    total: int | None
    """None while more are being stored."""
    stored: int
    done: int
    """Finished, successfully or not."""
    failed: int
    """Those of ``done`` that failed or were cancelled."""
    running: int
    """What workers have taken; one call after the other of what one of them has taken at once."""
    is_finished: bool
    """Whether all is done, the reduced value included."""

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; None while the total is not known."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0


@dataclass(frozen=True, eq=False, repr=False)
class MapResult[R]:
    """All calls of one :meth:`Task.map`: small, and everything is read when it is asked for.

    Iterating gives each call's :class:`TaskResult` in the order of the items, and waits for each
    while the map runs. Two handles are equal when they are on the same map. Whatever reads raises
    ``TaskResultDoesNotExist`` where the map, or the call, was deleted.
    """

    # Not slots=True: before Python 3.13, MapResult[int](…) fails for a frozen class of that kind.
    __slots__ = ("__weakref__", "backend", "id", "is_reduced", "task_path")

    id: str
    backend: str
    task_path: str
    is_reduced: bool
    """Whether there is, or will be, a :attr:`result`."""

    @property
    def task(self) -> "Task[..., R]":
        """The task, imported now. Raises :class:`~mainspring.exceptions.TaskNotFound`."""
        task = registry.resolve(self.task_path)
        return task if task.backend == self.backend else task.using(backend=self.backend)

    # How far it is

    @property
    def progress(self) -> MapProgress:
        """How far the map is now."""
        return cast("MapProgress", self._reader().progress())

    async def aprogress(self) -> MapProgress:
        """See :attr:`progress`."""
        return await sync_to_async(lambda: self.progress)()

    @property
    def total(self) -> int | None:
        """How many calls there are; None while more are being stored."""
        return cast("int | None", self._reader().total())

    @property
    def done(self) -> int:
        """How many calls have finished, successfully or not."""
        return self.progress.done

    @property
    def failed(self) -> int:
        """How many calls have failed or were cancelled."""
        return self.progress.failed

    @property
    def is_finished(self) -> bool:
        """Whether all calls have finished and the reduced value, if any, is there."""
        return cast("bool", self._reader().is_finished())

    def wait(self, timeout: float | None = None, progress: bool = False) -> Self:
        """Wait until all is finished, the reduced value included, and return the handle.

        ``timeout`` is in seconds; None waits without end. ``progress=True`` shows a bar with rate
        and time left, in a terminal or notebook. Raises ``TimeoutError`` after ``timeout``, and
        :class:`~mainspring.exceptions.StoreUnavailable` like :meth:`TaskResult.wait`.
        """
        self._reader().wait(timeout, self.task_path if progress else None)
        return self

    async def await_result(self, timeout: float | None = None) -> Self:  # noqa: ASYNC109 # as wait()
        """See :meth:`wait`; ``await handle`` does this without a timeout."""
        await self._reader().await_end(timeout)
        return self

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.await_result().__await__()

    # The calls

    def __iter__(self) -> "Iterator[TaskResult[R]]":
        return cast("Iterator[TaskResult[R]]", self._reader().results())

    def __aiter__(self) -> "AsyncIterator[TaskResult[R]]":
        return cast("AsyncIterator[TaskResult[R]]", self._reader().aresults())

    def __getitem__(self, index: int) -> "TaskResult[R]":
        """Return the call of one item as it is now, without waiting.

        Raises ``IndexError`` if there is no such call yet. A negative index needs the total, as
        ``len()`` does.
        """
        if not isinstance(index, int):
            raise TypeError(f"A call has a whole number, not {index!r}.")
        place = index + len(self) if index < 0 else index
        found = None if place < 0 else self._reader().result_of(place)
        if found is None:
            raise IndexError(f"Map {self.id} has no call {index}.")
        return cast("TaskResult[R]", found)

    def __len__(self) -> int:
        """Return the total. Raises ``TypeError`` while more are being stored."""
        total = self.total
        if total is None:  # of all errors, list() passes over this one
            raise TypeError(f"Map {self.id} has no length yet: more calls are being stored.")
        return total

    def __bool__(self) -> bool:
        return True

    def values(self, timeout: float | None = None, skip_failed: bool = False) -> Iterator[R]:
        """Return what the calls returned, in the order of the items; waits for each.

        ``timeout`` is in seconds, for all of them. Raises, while iterating, ``TimeoutError``, and
        ``ValueError`` at a call that failed, unless ``skip_failed`` leaves these out.
        """
        return cast("Iterator[R]", self._reader().values(timeout, skip_failed))

    def errors(self) -> "Iterator[TaskResult[R]]":
        """Return the results of the calls that have failed by now, in the order of the items."""
        return cast("Iterator[TaskResult[R]]", self._reader().failures())

    # The reduced value

    @property
    def result(self) -> "TaskResult[Any]":
        """The result that has the reduced value: an ordinary one, of the task that merges.

        Is there when :meth:`wait` has returned. Raises ``ValueError`` before, and where the map is
        not reduced.
        """
        if not self.is_reduced:
            raise ValueError(f"Map {self.id} is not reduced: see the argument reduce of map().")
        found = self._reader().reduced()
        if found is None:
            raise ValueError(f"Map {self.id} has not been reduced yet: wait() for it.")
        return cast("TaskResult[Any]", found)

    async def aresult(self) -> "TaskResult[Any]":
        """See :attr:`result`."""
        return await sync_to_async(lambda: self.result)()

    # Changes

    def retry_failed(self) -> int:
        """Have the calls that have failed, or were cancelled, run again; return how many.

        The map then goes on, and what it was reduced to is deleted.
        """
        return cast("int", self._reader().retry_failed())

    async def aretry_failed(self) -> int:
        """See :meth:`retry_failed`."""
        return await sync_to_async(self.retry_failed)()

    def cancel(self) -> int:
        """Cancel all calls that have not finished; return how many. The map is at its end then.

        Those that run end as after :meth:`TaskResult.cancel`. A map that is still being stored
        takes no more calls.
        """
        return cast("int", self._reader().cancel())

    async def acancel(self) -> int:
        """See :meth:`cancel`."""
        return await sync_to_async(self.cancel)()

    def _reader(self) -> Any:
        backend: Any = task_backends[self.backend]
        return backend.read_map(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, MapResult) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<MapResult {self.id} of {self.task_path}>"
