"""The tasks of the unit tests."""

import functools
from collections.abc import Callable
from typing import Any

from django.tasks import task as djangos_task

from mainspring import Task, TaskContext, TaskResult, linear, task


@task
def add(a: int, b: int = 0) -> int:
    """Return the sum."""
    return a + b


@task()
def echo(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what was given."""
    return [list(args), kwargs]


@task
async def add_soon(a: int, b: int) -> int:
    """Return the sum, as a coroutine."""
    return a + b


@task(takes_context=True)
def describe(context: TaskContext, a: int) -> dict[str, Any]:
    """Return what the context says."""
    result = context.task_result
    return {
        "id": result.id,
        "status": str(result.status),
        "attempt": context.attempt,
        "args": result.args,
        "priority": result.task.priority,
        "a": a,
    }


@task(takes_context=True)
async def describe_soon(context: TaskContext) -> str:
    """Return the id, as a coroutine."""
    return context.task_result.id


@task(takes_context=True)
def note(context: TaskContext, changes: dict[str, Any], then: str = "") -> dict[str, Any]:
    """Note down changes, say how far it is, and return all that was noted."""
    context.metadata.update(changes)
    context.save_metadata()
    context.progress(1, 2, "half")
    context.metadata["last"] = 1
    if then:
        raise ValueError(then)
    return context.metadata


@task(priority=7, queue_name="mail")
def send() -> None:
    """A task with fields of its own."""


@task(backend="kept")
def keep(*args: Any, **kwargs: Any) -> None:
    """A task whose calls are kept."""


@task(backend="kept")
def keep_other() -> None:
    """Another one."""


@task(backend="audited", owner="ops")  # type: ignore[call-overload, unused-ignore]
def audited() -> None:
    """A task of a class with a field more."""


def tariff(error: BaseException, result: TaskResult[Any]) -> float:
    """A backoff."""
    return 7


@task(backend="kept", max_attempts=3, backoff=linear(2), timeout=60, max_crashes=5)
def careful() -> None:
    """A task with a policy of its own."""


@task(backend="kept", backoff=tariff)
def negotiated() -> None:
    """A task whose backoff is a function."""


@djangos_task(backend="kept")
def by_django() -> None:
    """A task made by Django's own decorator."""


@task
def fail(message: str = "out of order") -> None:
    """Raise."""
    raise ValueError(message)


@task
def fail_badly() -> None:
    """Raise an error with an argument that is an error."""
    raise ValueError(ValueError("inner"))


@task
def leave() -> None:
    """Raise SystemExit."""
    raise SystemExit("bye")


@task
def close_generator() -> None:
    """Raise GeneratorExit."""
    raise GeneratorExit


@task
def interrupt() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


@task
def give(kind: str) -> Any:
    """Return something that is not JSON."""
    return {"set": {1}, "nan": float("nan"), "key": {1: 2}, "surrogate": "\ud800"}[kind]


def doubled(func: Callable[..., int]) -> Callable[..., int]:
    """A usual decorator."""

    @functools.wraps(func)
    def inner(*args: Any, **kwargs: Any) -> int:
        return 2 * func(*args, **kwargs)

    return inner


@task
@doubled
def double_add(a: int, b: int) -> int:
    """A task of a decorated function."""
    return a + b


def urgent[**P, R](one: Task[P, R]) -> Task[P, R]:
    """A decorator that changes a task in place."""
    one.priority = 50
    return one


@urgent
@task
def alarm() -> None:
    """A task that a decorator changed in place."""


class Reports:
    """A class with a task in it."""

    @staticmethod
    @task
    def monthly() -> str:
        """A static method as a task."""
        return "done"


def plain(context: Any = None) -> None:
    """A function that is no task."""


@task
def make_group(name: str) -> object:
    """Write a row; raise, return what is not JSON, or return well."""
    from django.contrib.auth.models import Group

    Group.objects.create(name=name)
    if name == "raises":
        raise ValueError(name)
    return object() if name == "returns" else name
