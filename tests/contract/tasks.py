"""The tasks of the contract."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

from django.tasks import task as djangos_task

from mainspring import Discard, Limit, Retry, Snooze, TaskContext, TaskTimeout, fixed, task


@task
def add(a: int, b: int = 0) -> int:
    """Return the sum."""
    return a + b


@task(unique=True)
def once(a: int, b: int = 0) -> int:
    """Be pending once for the same arguments."""
    return a + b


@task
def repeat(text: str, times: int) -> str:
    """Return a text again and again."""
    return text * times


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


MINUTE = fixed(60)


@task(takes_context=True, max_attempts=3, backoff=MINUTE)
def flaky(context: TaskContext, failures: int, *rest: Any, **more: Any) -> list[Any]:
    """Fail the first attempts."""
    if context.attempt <= failures:
        raise ValueError(f"attempt {context.attempt}")
    return [*rest, more]


@task(takes_context=True, max_attempts=3, backoff=MINUTE)
async def flaky_soon(context: TaskContext, failures: int, *rest: Any, **more: Any) -> list[Any]:
    """Fail the first attempts, as a coroutine."""
    if context.attempt <= failures:
        raise ValueError(f"attempt {context.attempt}")
    return [*rest, more]


@task(takes_context=True, max_attempts=3, backoff=MINUTE)
def ask(context: TaskContext, verb: str, reason: str = "", **more: Any) -> None:
    """Ask for what is to become of this call."""
    raise {"retry": Retry, "snooze": Snooze, "discard": Discard}[verb](reason, **more)


def no_tariff(context: TaskContext) -> float:
    """A backoff that raises."""
    raise LookupError("no tariff")


def by_attempt(context: TaskContext) -> float | None:
    """A backoff of as many hours as there were attempts, three at most."""
    return 3600 * context.attempt if context.attempt <= 3 else None


def _for_ever(_context: TaskContext) -> timedelta:
    return timedelta.max


def _growing(context: TaskContext) -> timedelta:
    return timedelta(days=10.0 ** (4 * context.attempt))


@task(max_attempts=9, backoff=_for_ever)
def fail_for_ever() -> None:
    """Raise, and ask for a wait beyond all time."""
    raise ValueError("no end")


@task(max_attempts=9, backoff=_growing)
async def fail_later_and_later() -> None:
    """Raise, and ask for waits of 27 years, of 270,000 years, and so on."""
    raise ValueError("no end")


@task(max_attempts=9, backoff=no_tariff)
def fail_twice() -> None:
    """Fail, and have the backoff fail."""
    raise ValueError("out of order")


@task(max_attempts=9, backoff=by_attempt)
def fail_hourly() -> None:
    """Fail, and have a function say when to try again."""
    raise ValueError("out of order")


@task(takes_context=True, max_attempts=3, backoff=MINUTE)
def cancel_itself(context: TaskContext, then: str) -> bool:
    """Cancel this very call, and go on."""
    was_cancelled = context.task_result.cancel()
    if then == "fail":
        raise ValueError("cancelled, and failed")
    return was_cancelled


@task(takes_context=True)
async def cancel_itself_soon(context: TaskContext) -> bool:
    """Cancel this very call, and go on, as a coroutine."""
    return await context.task_result.acancel()


# What a task that runs tells the test, and what it waits for.
running, released = Event(), Event()


@task
def run_until_told() -> str:
    """Run Python code until something is raised."""
    running.set()
    while not released.is_set():
        pass
    return "released"


@task
async def wait_until_told() -> str:
    """Wait for something that does not come, as a coroutine."""
    running.set()
    await asyncio.sleep(60)
    return "slept"


def by_metadata(context: TaskContext) -> float:
    """A backoff of as many seconds as the attempt has noted down."""
    return float(context.metadata["retry_after"])


@task(takes_context=True, max_attempts=3, backoff=by_metadata)
def note(context: TaskContext, changes: dict[str, Any], then: str = "") -> dict[str, Any]:
    """Note down changes, and return what was noted before."""
    before = dict(context.metadata)
    context.metadata.update(changes)
    if then == "fail":
        raise ValueError("noted, and failed")
    if then == "exit":
        raise SystemExit(3)
    return before


@task(takes_context=True, max_attempts=3, backoff=MINUTE)
async def note_soon(
    context: TaskContext, changes: dict[str, Any], then: str = ""
) -> dict[str, Any]:
    """Note down changes, as a coroutine."""
    before = dict(context.metadata)
    context.metadata.update(changes)
    if then == "fail":
        raise ValueError("noted, and failed")
    return before


@task(takes_context=True, max_attempts=9, backoff=0)
def count(context: TaskContext, until: int) -> list[int]:
    """Count one further with each attempt; return the numbers of the attempts."""
    attempts = context.metadata.pop("attempts", [])
    context.metadata["counted"] += 1
    if context.metadata["counted"] < until:
        context.metadata["attempts"] = [*attempts, context.attempt]
        raise ValueError("not there yet")
    return [*attempts, context.attempt]


@task(takes_context=True)
def save(context: TaskContext) -> Any:
    """Save in the middle, and return what others see of it then."""
    context.metadata["step"] = 1
    context.save_metadata()
    seen = context.task_result.refresh().metadata
    context.metadata["step"] = 2
    return [seen, context.task_result.refresh().metadata]


@task(takes_context=True)
async def save_soon(context: TaskContext) -> Any:
    """Save in the middle, as a coroutine."""
    context.metadata["step"] = 1
    await context.asave_metadata()
    seen = (await context.task_result.arefresh()).metadata
    context.metadata["step"] = 2
    return [seen, (await context.task_result.arefresh()).metadata]


@task(takes_context=True)
def save_what_is_refused(context: TaskContext) -> list[str]:
    """Try to save what is no metadata; return what was said to that."""
    said = []
    for key, value in (("a", {1}), ("_a", 1), ("_progress", [1, 2, ""])):
        context.metadata[key] = value
        try:
            context.save_metadata()
        except (TypeError, ValueError) as error:
            said.append(str(error))
        del context.metadata[key]
    return said


# What the test does in the middle of a task.
interludes: list[Callable[[], None]] = []


@task(takes_context=True)
def report(context: TaskContext, total: int) -> None:
    """Say often how far it is."""
    for done in range(1, total + 1):
        context.progress(done, total, message="writing")
        if done % (total // 2) == 0 and interludes:
            interludes.pop()()


@task(takes_context=True)
async def report_soon(context: TaskContext, total: int) -> None:
    """Say often how far it is, as a coroutine."""
    for done in range(1, total + 1):
        context.progress(done, total, message="writing")


@task
def take_care() -> str:
    """Run until told to end, and do so in an orderly way."""
    try:
        while True:
            pass
    except TaskTimeout as error:
        return f"cleaned up: {type(error).__name__}"


@task
async def take_care_soon() -> str:
    """Wait until told to end, and do so in an orderly way, as a coroutine."""
    try:
        await asyncio.sleep(60)
    except TaskTimeout as error:
        return f"cleaned up: {type(error).__name__}"
    return "slept"


@task(concurrency=Limit(1, key="{a}", name="one for each"), unique=True)
def one_each(a: int) -> int:
    """Return the number; of each one at a time."""
    return a


@task
async def cancel_all_others() -> int:
    """Cancel all other asyncio tasks of the event loop; return how many there were."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    return len(others)


@task(takes_context=True)
async def cancel_oneself_and_note(context: TaskContext) -> str:
    """Cancel the asyncio task that this runs in, note something down, and return."""
    context.metadata["noted"] = "in time"
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    return "returned"
