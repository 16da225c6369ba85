"""Task and the ``task()`` decorator: Django's, unfrozen."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, task_backends
from django.tasks import Task as DjangoTask
from django.tasks.base import DEFAULT_TASK_PRIORITY
from django.tasks.exceptions import TaskResultMismatch

from mainspring.core import registry, unfreeze  # noqa: F401 # unfreezes Django's Task first

if TYPE_CHECKING:
    from mainspring.core.results import TaskContext, TaskResult

P = ParamSpec("P")
R = TypeVar("R")

# using() takes None for these as "leave it", as Django's does.
_DJANGOS_CHANGES = frozenset({"priority", "queue_name", "run_after", "backend"})


class _UnfrozenTask(DjangoTask):
    # Keeps one slot that is no field: the rules that the task was last found valid by.
    __slots__ = ("_valid_by",)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, "_valid_by"):
            self.update(**{name: value})
        else:  # __init__ is still setting the fields
            object.__setattr__(self, name, value)

    __delattr__ = object.__delattr__

    def update(self, **changes: Any) -> Self:
        """Change fields in place and return the task, validated like a new one.

        Raises what a new task with these fields would raise, and then leaves the task as it was;
        ``AttributeError`` for a name that is not a field.
        """
        before = {name: getattr(self, name) for name in changes}
        self._set(changes)
        try:
            self._validate()
        except BaseException:
            self._set(before)
            raise
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
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash(self.module_path)


@dataclass(slots=True, kw_only=True, eq=False)
class Task(_UnfrozenTask, Generic[P, R]):
    """A task: a function and how its calls are to run.

    Is a ``django.tasks.Task``, with the same fields and methods, but is not frozen: extend it with
    a dataclass of your own, change a field in place (``task.priority = 5``, or several at once with
    :meth:`update`); each change is validated like a new task.
    """

    func: Callable[P, R]

    def __post_init__(self) -> None:
        cls = type(self)
        if cls.__hash__ is None:  # @dataclass removes it from a subclass that it gives an __eq__
            cls.__hash__ = _UnfrozenTask.__hash__  # type: ignore[unreachable]
        object.__setattr__(self, "_valid_by", None)
        self._validate()
        registry.register(self.module_path, self)

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
        if unknown := given.keys() - {f.name for f in fields(self)}:
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

    def __reduce__(self) -> tuple[Any, ...]:
        path = self.module_path
        known = registry.declared(path)
        changes = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name != "func"
            and (known is None or not _same(getattr(known, f.name, None), getattr(self, f.name)))
        }
        return _unpickle, (path, changes)


def _unpickle(path: str, changes: dict[str, Any]) -> Task[..., Any]:
    import_module(path.rpartition(".")[0])
    return replace(registry.resolve(path), **changes)


def _same(mine: Any, others: Any) -> bool:
    # Whatever the fields of a subclass hold: a comparison that raises or is no bool is a "no".
    if mine is others:
        return True
    try:
        return bool(mine == others)
    except Exception:  # noqa: BLE001
        return False


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    takes_context: Literal[True],
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    **fields: Any,
) -> Callable[[Callable[Concatenate["TaskContext", P], R]], Task[P, R]]: ...
@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: Literal[False] = ...,
    **fields: Any,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
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
