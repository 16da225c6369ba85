"""Task and the ``task()`` decorator: Django's, unfrozen."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Concatenate, Literal, Protocol, Self, cast, overload

from asgiref.sync import async_to_sync, sync_to_async
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, task_backends
from django.tasks.base import DEFAULT_TASK_PRIORITY
from django.tasks.exceptions import TaskResultMismatch

from mainspring.core import registry
from mainspring.core.unfreeze import DjangoTask

if TYPE_CHECKING:
    from mainspring.core.results import TaskContext, TaskResult

# using() takes None for these as "leave it", as Django's does.
_DJANGOS_CHANGES = frozenset({"priority", "queue_name", "run_after", "backend"})


class _UnfrozenTask(DjangoTask):
    # Keeps one slot that is no field: the rules that the task was last found valid by.
    __slots__ = ("_valid_by",)

    if TYPE_CHECKING:
        _valid_by: Any

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
        except BaseException:
            self._set(before)
            raise
        if registry.declared(self.module_path) is None:  # another function, of another path
            registry.register(self.module_path, cast("Task[..., Any]", self))
        return self

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_valid_by", None)

    def _validate(self) -> None:
        self.get_backend().validate_task(self)

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

        Raises ``TypeError`` or ``ValueError``, naming the argument, where one is not JSON.
        """
        return cast("TaskResult[R]", self.get_backend().enqueue(self, args, kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]":
        """See :meth:`enqueue`."""
        return cast("TaskResult[R]", await self.get_backend().aenqueue(self, args, kwargs))

    def get_result(self, result_id: str) -> "TaskResult[R]":
        """Return the result of an earlier call of this task.

        Raises ``TaskResultDoesNotExist``, or ``TaskResultMismatch`` if it is another task's.
        """
        return self._own(self.get_backend().get_result(result_id))

    async def aget_result(self, result_id: str) -> "TaskResult[R]":
        """See :meth:`get_result`."""
        return self._own(await self.get_backend().aget_result(result_id))

    def _own(self, result: "TaskResult[Any]") -> "TaskResult[R]":
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


class _Decorator(Protocol):
    @overload
    def __call__[**P, R](self, func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__[**P, R](self, func: Callable[P, R], /) -> Task[P, R]: ...


class _ContextDecorator(Protocol):
    @overload
    def __call__[**P, R](
        self, func: Callable[Concatenate["TaskContext", P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__[**P, R](
        self, func: Callable[Concatenate["TaskContext", P], R], /
    ) -> Task[P, R]: ...


@overload
def task[**P, R](function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task[**P, R](function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    takes_context: Literal[True],
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    **fields: Any,
) -> _ContextDecorator: ...
@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: Literal[False] = ...,
    **fields: Any,
) -> _Decorator: ...
def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = DEFAULT_TASK_PRIORITY,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    **fields: Any,
) -> Any:
    """Make a task of a function: ``@task`` or ``@task(priority=5, queue_name="mail")``.

    Takes Django's arguments and every further field of the backend's ``task_class``. Raises
    ``InvalidTask`` where the backend cannot run such a task, and ``TypeError`` for ``run_after``,
    which is a matter of one call: give it to ``using()``.
    """
    if "run_after" in fields:
        raise TypeError(
            "run_after cannot be defined statically with the @task decorator. "
            "Use .using(run_after=...) to set it dynamically."
        )

    def decorate(func: Callable[..., Any]) -> Any:
        return task_backends[backend].task_class(
            func=func,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            **fields,
        )

    return decorate if function is None else decorate(function)
