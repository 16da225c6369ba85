"""Task and the ``task()`` decorator: Django's, unfrozen."""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime, timedelta
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

from asgiref.sync import async_to_sync, sync_to_async
from django.db import DEFAULT_DB_ALIAS
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, task_backends
from django.tasks.base import DEFAULT_TASK_PRIORITY
from django.tasks.exceptions import TaskResultMismatch

from mainspring.core import registry
from mainspring.core.declarations import Declaration, require_declarations
from mainspring.core.declaring import task
from mainspring.core.unfreeze import DjangoTask

if TYPE_CHECKING:
    from mainspring.core.arguments import Arguments
    from mainspring.core.limits import Limit, Rate
    from mainspring.core.map_results import MapResult
    from mainspring.core.results import TaskResult
    from mainspring.core.retries import Backoff

__all__ = ["Task", "task"]

# using() takes None for these as "leave it", as Django's does.
_DJANGOS_CHANGES = frozenset({"priority", "queue_name", "run_after", "backend"})


class _UnfrozenTask(DjangoTask):
    # Keeps two slots that are no fields: the rules that the task was last found valid by, and what
    # each of its calls carries: the fields that were changed since its declaration, and metadata.
    __slots__ = ("_carried", "_valid_by")

    if TYPE_CHECKING:
        _valid_by: Any
        _carried: Any
        func: Callable[..., Any]
        schedules: tuple[Declaration, ...]

        @property
        def module_path(self) -> str: ...
        def get_backend(self) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A class's own __eq__ and __hash__ are what @dataclass leaves alone. Its __eq__ raises
        # what a field's raises, and next to it a task could not be hashed.
        if "__eq__" not in cls.__dict__:
            cls.__eq__ = _UnfrozenTask.__eq__  # type: ignore[method-assign]
        if cls.__dict__.get("__hash__") is None:
            cls.__hash__ = _UnfrozenTask.__hash__  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        # Without rules to be valid by, __init__ is still setting the fields.
        if hasattr(self, "_valid_by") and name in _field_names(type(self)):
            self.update(**{name: value})
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _field_names(type(self)):
            raise AttributeError(f"{name!r} is a field of a task and cannot be deleted.")
        object.__delattr__(self, name)

    def update(self, **changes: Any) -> Self:
        """Change fields in place and return the task, validated like a new one.

        Raises what a new task with these fields would raise, and then leaves the task as it was;
        ``AttributeError`` for a name that is not a field.
        """
        if unknown := changes.keys() - _field_names(type(self)):
            raise AttributeError(
                f"{min(unknown)!r} is not a field of {type(self).__name__}.",
                name=min(unknown),
                obj=self,
            )
        before = {name: getattr(self, name) for name in changes}
        self._set(changes)
        try:
            self._validate()
            self._register()
        except BaseException:
            self._set(before)
            raise
        return self

    def _register(self) -> None:
        known = registry.declared(self.module_path)
        if known is None or known.func is not self.func:  # a different function
            registry.register(self.module_path, cast("Task[..., Any]", self))

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_valid_by", None)

    def _validate(self) -> None:
        self.get_backend().validate_task(self)
        require_declarations(self.module_path, self.schedules)

    def __eq__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        return all(
            _same(getattr(self, name, MISSING), getattr(other, name, MISSING))
            for name in _field_names(type(self))
        )

    def __hash__(self) -> int:
        return hash(self.module_path)


@dataclass(slots=True, kw_only=True, eq=False)
class Task[**P, R](_UnfrozenTask):
    """A task: a function and how its calls are to run.

    Is a ``django.tasks.Task``, with the same fields and methods, but is not frozen: extend it with
    a dataclass of your own, change a field in place (``task.priority = 5``, or several at once with
    :meth:`update`); each change is validated like a new task. A subclass with a ``__post_init__``
    calls ``Task.__post_init__(self)`` in it.
    """

    # All of Django's fields, as they have no defaults in Django 6.0.
    func: Callable[..., Any]
    priority: int = DEFAULT_TASK_PRIORITY
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    queue_name: str = DEFAULT_TASK_QUEUE_NAME
    run_after: datetime | None = None
    takes_context: bool = False
    max_attempts: int | None = None
    """How many attempts may fail, the last one included; None for the backend's default, 1."""
    backoff: "Backoff | None" = None
    """How long to wait after a failure: seconds, a timedelta, ``exponential()`` and the like, or a
    function of ``(context)`` or of ``(exception, task_result)`` that returns a wait or None."""
    timeout: float | timedelta | None = None
    """Seconds that one attempt may take; ``math.inf`` for ever; None for the backend's default."""
    max_crashes: int | None = None
    """How many workers the task may take down before it fails; None for the default, 3."""
    metadata: Mapping[str, Any] | None = None
    """What the caller stores with each call; the task can read and change it."""
    atomic: bool = False
    """Whether what the task writes to the queue's database is stored together with its outcome."""
    concurrency: "Limit | None" = None
    """How many calls may run at a time, in all workers together."""
    rate: "Rate | None" = None
    """How many calls may start in a period of time, in all workers together."""
    unique: bool | str | Callable[..., str | None] = False
    """What makes two calls equal, so that one stands for both: True for the same arguments, a text
    such as ``"invoice {0}"``, or a function of the arguments that returns a text."""
    unique_for: float | timedelta | None = None
    """Seconds after which a call stands for no other one any more; None for no limit."""
    unique_until: Literal["start", "end"] = "start"
    """Whether a call stands for its equals until it starts, or until it has finished."""
    schedules: tuple[Declaration, ...] = ()
    """What ``@cron`` and ``@every`` have put on the task; see core/schedules.py."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_valid_by", None)
        self._validate()
        registry.register(self.module_path, self)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.func.__name__

    @property
    def module_path(self) -> str:
        """The import path of the function, by which stores and processes know the task."""
        return _path(self.func)

    def get_backend(self) -> Any:
        """Return the backend that this task's calls go to."""
        return task_backends[self.backend]  # 0.4 µs; Django's imports the name first: 0.9 µs

    def using(self, **changes: Any) -> Self:
        """Return a copy with other values of any fields, such as ``priority`` or ``run_after``.

        None leaves Django's own fields as they are. Raises ``TypeError`` for a name that is not a
        field, and ``InvalidTask`` for a value that the backend does not take.
        """
        given = {
            name: value
            for name, value in changes.items()
            if value is not None or name not in _DJANGOS_CHANGES
        }
        if unknown := given.keys() - _field_names(type(self)):
            raise TypeError(
                f"using() got {min(unknown)!r}, which is not a field of {type(self).__name__}."
            )
        return replace(self, **given)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]":
        """Have the task called with these arguments by a worker, and return the result to be.

        Where the task is ``unique`` and an equal call is pending, that is the result of that call.
        Raises ``TypeError`` or ``ValueError``, naming the argument, where one is not JSON.
        """
        return cast("TaskResult[R]", self.get_backend().enqueue(self, args, kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]":
        """See :meth:`enqueue`."""
        return cast("TaskResult[R]", await self.get_backend().aenqueue(self, args, kwargs))

    @overload
    def enqueue_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]": ...
    @overload
    def enqueue_on_commit(self, *args: Any, using: str, **kwargs: Any) -> "TaskResult[R]": ...
    def enqueue_on_commit(  # type: ignore[misc] # an argument of the task's of that name: not given
        self, *args: Any, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
    ) -> "TaskResult[R]":
        """Enqueue when the transaction on the database ``using`` commits; at once without one.

        The arguments are taken now and raise now, as :meth:`enqueue` does; what storing the call
        raises reaches whoever commits. Returns the result to be, which can be looked up after the
        commit. Where an equal call of a unique task is pending then, that call stands for this
        one, and the result never comes to be.
        """
        backend = self.get_backend()
        return cast("TaskResult[R]", backend.enqueue_on_commit(self, args, kwargs, using))

    def enqueue_many(self, calls: "Iterable[Arguments]") -> "Sequence[TaskResult[R]]":
        """Enqueue many calls at once, all or none; return their results to be, in order.

        The results are made when they are looked at. Each call is a list or tuple of arguments, or
        a mapping of keyword arguments. A long iterator takes no memory by its length: its calls
        wait in a temporary file until all are there; :meth:`map` begins at once. Raises like
        :meth:`enqueue`, and ``TypeError`` for a call that is neither.
        """
        return cast("Sequence[TaskResult[R]]", self.get_backend().enqueue_many(self, calls))

    async def aenqueue_many(
        self, calls: "Iterable[Arguments] | AsyncIterable[Arguments]"
    ) -> "Sequence[TaskResult[R]]":
        """See :meth:`enqueue_many`; the calls may come from an asynchronous iterator, too."""
        return cast("Sequence[TaskResult[R]]", await self.get_backend().aenqueue_many(self, calls))

    def map(
        self,
        items: Iterable[Any],
        *,
        reduce: "Task[..., Any] | None" = None,
        on_error: Literal["fail", "skip"] = "fail",
        then: "Task[..., Any] | None" = None,
    ) -> "MapResult[R]":
        """Have the task called with each item, and return the handle on all these calls.

        The items are read one after the other and stored as they come, and workers begin with the
        first ones at once. ``reduce`` is a task of two arguments, associative, that makes one value
        of all; ``on_error="skip"`` leaves failed calls out of it, "fail" has it fail. ``then`` is a
        task that is enqueued at the end, with the map's id. Of a unique task, an item for which an
        equal call is pending is not run: its result has failed, and names that call.

        Raises ``InvalidTask`` for a task that cannot be mapped, ``TypeError`` or ``ValueError``
        where an item is not JSON, and what ``items`` raises: then the calls that were stored and
        have not finished are cancelled.
        """
        return cast("MapResult[R]", self._map(items, False, reduce, on_error, then))

    def starmap(
        self,
        items: Iterable[Sequence[Any]],
        *,
        reduce: "Task[..., Any] | None" = None,
        on_error: Literal["fail", "skip"] = "fail",
        then: "Task[..., Any] | None" = None,
    ) -> "MapResult[R]":
        """Do :meth:`map` where each item is a list or tuple of arguments."""
        return cast("MapResult[R]", self._map(items, True, reduce, on_error, then))

    async def amap(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        reduce: "Task[..., Any] | None" = None,
        on_error: Literal["fail", "skip"] = "fail",
        then: "Task[..., Any] | None" = None,
    ) -> "MapResult[R]":
        """See :meth:`map`; takes an async iterable, too."""
        return cast("MapResult[R]", await self._amap(items, False, reduce, on_error, then))

    async def astarmap(
        self,
        items: Iterable[Sequence[Any]] | AsyncIterable[Sequence[Any]],
        *,
        reduce: "Task[..., Any] | None" = None,
        on_error: Literal["fail", "skip"] = "fail",
        then: "Task[..., Any] | None" = None,
    ) -> "MapResult[R]":
        """See :meth:`starmap`; takes an async iterable, too."""
        return cast("MapResult[R]", await self._amap(items, True, reduce, on_error, then))

    def _map(self, items: Any, is_lists: bool, reduce: Any, on_error: str, then: Any) -> Any:
        return self.get_backend().map(
            self, items, is_lists=is_lists, reduce=reduce, on_error=on_error, then=then
        )

    async def _amap(self, items: Any, is_lists: bool, reduce: Any, on_error: str, then: Any) -> Any:
        return await self.get_backend().amap(
            self, items, is_lists=is_lists, reduce=reduce, on_error=on_error, then=then
        )

    def get_map(self, map_id: str) -> "MapResult[R]":
        """Return the handle on an earlier map of this task. Raises like :meth:`get_result`."""
        return cast("MapResult[R]", self._own(self.get_backend().get_map(map_id)))

    async def aget_map(self, map_id: str) -> "MapResult[R]":
        """See :meth:`get_map`."""
        return cast("MapResult[R]", self._own(await self.get_backend().aget_map(map_id)))

    def get_result(self, result_id: str) -> "TaskResult[R]":
        """Return the result of an earlier call of this task.

        Raises ``TaskResultDoesNotExist``, or ``TaskResultMismatch`` if it is another task's.
        """
        return cast("TaskResult[R]", self._own(self.get_backend().get_result(result_id)))

    async def aget_result(self, result_id: str) -> "TaskResult[R]":
        """See :meth:`get_result`."""
        return cast("TaskResult[R]", self._own(await self.get_backend().aget_result(result_id)))

    def _own(self, result: Any) -> Any:
        if result.task_path != self.module_path:
            raise TaskResultMismatch(f"Task does not match (received {result.task_path!r})")
        return result

    def call(self, *args: Any, **kwargs: Any) -> R:
        """Call the function, here and now; a coroutine function in an event loop of its own."""
        if _is_async(self.func):
            return async_to_sync(cast("Callable[..., Awaitable[R]]", self.func))(*args, **kwargs)
        return cast("R", self.func(*args, **kwargs))

    async def acall(self, *args: Any, **kwargs: Any) -> R:
        """Call the function, here and now; one that is not a coroutine's in a thread."""
        if _is_async(self.func):
            return cast("R", await self.func(*args, **kwargs))
        return cast("R", await sync_to_async(self.func)(*args, **kwargs))

    def __reduce__(self) -> tuple[Any, ...]:
        cls = type(self)
        known = registry.declared(self.module_path)
        if type(known) is not cls:
            known = None
        values = {name: getattr(self, name) for name in _field_names(cls) if name != "func"}
        changes = {
            name: value
            for name, value in values.items()
            if known is None or not _same(getattr(known, name), value)
        }
        return _unpickle, (cls, self.func.__module__, self.module_path, changes)


def _unpickle(
    cls: type[Task[..., Any]], module: str, path: str, changes: dict[str, Any]
) -> Task[..., Any]:
    declared = registry.resolve(path, trusted_module=module)
    settable = {f.name for f in fields(cls) if f.init}
    given = {name: value for name, value in changes.items() if name in settable}
    task = replace(declared, **given) if type(declared) is cls else cls(func=declared.func, **given)
    if rest := {name: value for name, value in changes.items() if name not in settable}:
        task.update(**rest)
    return task


def _names_of_fields(cls: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(cls))


# A look-up takes 0.05 µs, dataclasses.fields() 0.5 µs.
_field_names: Callable[[type], frozenset[str]] = lru_cache(maxsize=1024)(_names_of_fields)


# One text for all results of a task, 80 bytes less to hold for each.
@lru_cache(maxsize=4096)
def _path(func: Callable[..., Any]) -> str:
    return f"{func.__module__}.{func.__qualname__}"


# A look-up takes 0.05 µs, inspect.iscoroutinefunction() 0.5 µs.
_is_async = lru_cache(maxsize=4096)(iscoroutinefunction)


def _same(mine: Any, others: Any) -> bool:
    # Whatever the fields of a subclass hold: a comparison that raises or is no bool is a "no".
    if mine is others:
        return True
    try:
        return bool(mine == others)
    except Exception:  # noqa: BLE001
        return False
