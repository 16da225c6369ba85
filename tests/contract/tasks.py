"""The tasks of the contract."""

from typing import Any

from django.tasks import task as djangos_task

from mainspring import TaskContext, task


@task
def add(a: int, b: int = 0) -> int:
    """Return the sum."""
    return a + b


@task
def echo(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what was given."""
    return [list(args), kwargs]


@task
async def add_soon(a: int, b: int) -> int:
    """Return the sum, as a coroutine."""
    return a + b


@task
def fail(message: str = "out of order") -> None:
    """Raise."""
    raise ValueError(message)


@task(takes_context=True)
def describe(context: TaskContext) -> list[Any]:
    """Return what the context says."""
    result = context.task_result
    return [result.id, str(result.status), context.attempt, result.worker_ids]


@djangos_task
def by_django(a: int) -> int:
    """A task made by Django's own decorator."""
    return a
