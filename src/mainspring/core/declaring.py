"""The ``task()`` decorator: makes a task of a function."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Literal, Protocol, overload

from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, task_backends
from django.tasks.base import DEFAULT_TASK_PRIORITY

if TYPE_CHECKING:
    from mainspring.core.context import TaskContext
    from mainspring.core.tasks import Task


class _Decorator(Protocol):
    @overload
    def __call__[**P, R](self, func: Callable[P, Coroutine[Any, Any, R]], /) -> "Task[P, R]": ...
    @overload
    def __call__[**P, R](self, func: Callable[P, R], /) -> "Task[P, R]": ...


class _ContextDecorator(Protocol):
    @overload
    def __call__[**P, R](
        self, func: Callable[Concatenate["TaskContext", P], Coroutine[Any, Any, R]], /
    ) -> "Task[P, R]": ...
    @overload
    def __call__[**P, R](
        self, func: Callable[Concatenate["TaskContext", P], R], /
    ) -> "Task[P, R]": ...


@overload
def task[**P, R](function: Callable[P, Coroutine[Any, Any, R]], /) -> "Task[P, R]": ...
@overload
def task[**P, R](function: Callable[P, R], /) -> "Task[P, R]": ...
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
