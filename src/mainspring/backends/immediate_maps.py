"""Maps of ImmediateBackend: all calls have finished when map() returns; the handle has them."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist

from mainspring.backends.map_plans import Plan, Wanted
from mainspring.backends.mapping import check_list
from mainspring.backends.own_context import caller_of
from mainspring.core import calls, clock, codec
from mainspring.core.chunks import call_id
from mainspring.core.errors import TaskError
from mainspring.core.ids import new_id
from mainspring.core.map_results import MapProgress, MapResult
from mainspring.core.results import TaskResult
from mainspring.core.tasks import Task
from mainspring.exceptions import MapFailed

if TYPE_CHECKING:
    from mainspring.backends.immediate import ImmediateBackend

_SUCCESSFUL: Final = TaskResultStatus.SUCCESSFUL
_FAILED: Final = TaskResultStatus.FAILED


@dataclass(frozen=True, eq=False, repr=False)
class ImmediateMapResult(MapResult[Any]):
    """A handle that keeps the results of its calls."""

    __slots__ = ("kept",)

    kept: "KeptCalls"

    def _reader(self) -> Any:
        return self.kept


# Found by their ids as long as somebody has them, so that the task can which follows.
_handles: WeakValueDictionary[str, ImmediateMapResult] = WeakValueDictionary()


def kept_calls(map_id: str) -> "KeptCalls":
    """Return the calls of a map whose handle is in use; raises ``TaskResultDoesNotExist``."""
    found = _handles.get(map_id)
    if found is None:
        raise TaskResultDoesNotExist(map_id)
    return found.kept


def run_map(
    backend: "ImmediateBackend",
    task: Task[..., Any],
    what: Plan,
    wanted: Wanted,
    items: Iterable[Any],
) -> ImmediateMapResult:
    """Call ``task`` with one item after the other, and return the handle."""
    kept = KeptCalls(what, task, wanted)
    handle = kept.handle()
    _handles[handle.id] = handle
    for item in items:
        kept.run(backend, item)
    kept.end(backend)
    return handle


class KeptCalls:
    """The calls of one map, all finished, and what they were reduced to."""

    def __init__(self, what: Plan, task: Task[..., Any], wanted: Wanted) -> None:
        self._plan = what
        self._task = task
        self._wanted = wanted
        self._results: list[TaskResult[Any]] = []
        self._reduced: TaskResult[Any] | None = None

    def run(self, backend: "ImmediateBackend", item: Any) -> None:
        """Call the task with an item."""
        index = len(self._results)
        args = item if self._wanted["is_lists"] else (item,)
        try:
            check_list(args)
            job = backend.new_job(self._task, args, {})
        except (TypeError, ValueError) as error:
            error.add_note(f"In item {index} (counted from 0) of the map.")
            raise
        one = job._replace(id=call_id(self._plan.record.id, index))
        self._results.append(backend.run(self._task, one))

    def end(self, backend: "ImmediateBackend") -> None:
        """Reduce the values and call the task that follows."""
        merge, then = self._wanted["reduce"], self._wanted["then"]
        if merge is not None:
            self._reduced = self._reduce(merge)
        if then is not None:
            backend.enqueue(then, (self._plan.record.id,), {})

    def _reduce(self, merge: Task[..., Any]) -> TaskResult[Any]:
        failed = self.progress().failed
        if failed and self._wanted["on_error"] == "fail":
            return self._unreduced(merge, f'{failed} calls failed, and on_error is "fail"')
        values = self.values(None, skip_failed=True)
        try:
            reduced = next(values)
        except StopIteration:
            return self._unreduced(merge, "there is no value to reduce")
        try:
            for value in values:
                reduced = codec.normalize(caller_of(merge)(merge.call, reduced, value))
            returned = codec.encode_value(reduced, merge.get_backend().config.options.max_payload)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 # as where any task raises
            return self._result(merge, _FAILED, None, calls.describe(error))
        return self._result(merge, _SUCCESSFUL, returned)

    def _unreduced(self, merge: Task[..., Any], why: str) -> TaskResult[Any]:
        path = f"{MapFailed.__module__}.{MapFailed.__qualname__}"
        text = f"{path}: map {self._plan.record.id} was not reduced: {why}\n"
        return self._result(merge, _FAILED, None, TaskError(path, text))

    def _result(
        self,
        merge: Task[..., Any],
        status: TaskResultStatus,
        returned: bytes | None,
        *errors: TaskError,
    ) -> TaskResult[Any]:
        record, moment = self._plan.record, clock.now_as_datetime()
        return TaskResult(
            id=new_id(clock.now()),
            status=status,
            task_path=merge.module_path,
            queue_name=record.queue_name,
            priority=record.priority,
            run_after=None,
            backend=record.backend,
            enqueued_at=clock.to_datetime(record.enqueued_at),
            started_at=moment,
            last_attempted_at=moment,
            finished_at=moment,
            error_log=errors,
            returned=returned,
        )

    # What the handle asks

    def handle(self) -> ImmediateMapResult:
        """Return the handle."""
        known = self._plan.handle
        return _handles.get(known.id) or ImmediateMapResult(
            known.id, known.backend, known.task_path, known.is_reduced, self
        )

    def progress(self) -> MapProgress:
        """See :attr:`MapResult.progress`."""
        number = len(self._results)
        failed = sum(result.status == _FAILED for result in self._results)
        return MapProgress(number, number, number, failed, 0, True)

    def total(self) -> int:
        """See :attr:`MapResult.total`."""
        return len(self._results)

    def is_finished(self) -> bool:
        """Return True."""
        return True

    def wait(self, timeout: float | None, shown_as: str | None) -> None:
        """Return: all has finished."""

    async def await_end(self, timeout: float | None) -> None:  # noqa: ASYNC109 # as elsewhere
        """Return: all has finished."""

    def result_of(self, index: int) -> TaskResult[Any] | None:
        """See :meth:`MapResult.__getitem__`."""
        return self._results[index] if index < len(self._results) else None

    def results(self) -> Iterator[TaskResult[Any]]:
        """See :meth:`MapResult.__iter__`."""
        return iter(self._results)

    async def aresults(self) -> AsyncIterator[TaskResult[Any]]:
        """See :meth:`MapResult.__aiter__`."""
        for result in self._results:
            yield result

    def values(self, timeout: float | None, skip_failed: bool) -> Iterator[Any]:
        """See :meth:`MapResult.values`."""
        for result in self._results:
            if result.status == _SUCCESSFUL:
                yield result.return_value
            elif not skip_failed:
                last = result.errors[-1].traceback.strip().splitlines()[-1]
                raise ValueError(f"Call {result.id} failed: {last}")

    def failures(self) -> Iterator[TaskResult[Any]]:
        """See :meth:`MapResult.errors`."""
        return (result for result in self._results if result.status == _FAILED)

    def reduced(self) -> TaskResult[Any] | None:
        """See :attr:`MapResult.result`."""
        return self._reduced

    def retry_failed(self) -> int:
        """Call the task again for each call that failed."""
        backend = self._task.get_backend()
        failed = 0
        for index, result in enumerate(self._results):
            if result.status == _FAILED:
                failed += 1
                job = backend.new_job(self._task, result.args, {})._replace(id=result.id)
                self._results[index] = backend.run(self._task, job)
        if failed:
            self.end(backend)
        return failed

    def cancel(self) -> int:
        """Return 0: nothing is left to be cancelled."""
        return 0
