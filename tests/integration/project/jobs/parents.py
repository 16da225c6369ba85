"""Tasks that wait for others, which need a slot themselves."""

import asyncio
from contextlib import suppress

from jobs.tasks import nothing
from mainspring import task

PATIENCE = 6.0  # seconds


@task
async def nothing_soon() -> None:
    """Return nothing."""


@task
def double(number: int) -> int:
    """Return twice a number."""
    return 2 * number


@task
def wait_for_another() -> bool:
    """Wait for a task; return whether it has finished in time."""
    with suppress(TimeoutError):
        return nothing.enqueue().wait(PATIENCE).is_finished
    return False


@task
def wait_for_a_map() -> bool:
    """Wait for a map; return whether it has finished in time."""
    mapped = double.map([1])
    with suppress(TimeoutError):
        mapped.wait(PATIENCE)
        return True
    return False


@task
async def await_others() -> bool:
    """Await two tasks together; return whether they have finished in time."""
    results = [await nothing_soon.aenqueue() for _ in range(2)]
    with suppress(TimeoutError):
        await asyncio.gather(*(result.await_result(PATIENCE) for result in results))
        return True
    return False
