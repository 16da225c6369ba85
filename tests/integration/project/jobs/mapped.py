"""Tasks to be mapped over many items."""

import asyncio
import os
import signal
import time

from jobs.tasks import append, there
from mainspring import TaskCancelled, TaskContext, TaskTimeout, task


@task
def same(number: int) -> int:
    """Return what it gets."""
    return number


@task
def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


@task(timeout=0.4)
def endless(one: int, other: int) -> int:
    """Never add two numbers."""
    while True:
        time.sleep(0.01)


@task
def join(one: str, other: str) -> str:
    """Put two texts behind each other: not the same the other way round."""
    return one + other


@task
def letter(number: int) -> str:
    """Return a text that tells its number."""
    return f"{number},"


@task
def noted(number: int) -> int:
    """Note each execution."""
    append("ran", number, os.getpid())
    time.sleep(0.002)
    return number


@task
def sleep(seconds: float) -> float:
    """Take as long as it is told."""
    time.sleep(seconds)
    return seconds


@task(timeout=0.5)
def unruly(number: int) -> int:
    """Raise, hang or crash at some numbers."""
    if number % 100 == 3:
        raise ValueError(f"bad {number}")
    if number % 1000 == 7:
        time.sleep(1000)
    if number % 1000 == 507:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@task(timeout=60)
def gives_up(number: int) -> int:
    """Raise by itself what others are told, at some numbers."""
    if number % 10 == 3:
        raise TaskTimeout("of something that the task has waited for")
    if number % 10 == 7:
        raise TaskCancelled("by the task itself")
    return number


@task(timeout=1)
def mishap(number: int, hangs: int, crashes: int) -> int:
    """Raise at every hundredth number, hang at some and crash at others."""
    if number % 100 == 3:
        raise ValueError(f"bad {number}")
    if number % hangs == 7:
        time.sleep(1000)
    if number % crashes == 11:
        os._exit(3)
    return number


@task(timeout=0.5)
def stuck(number: int) -> int:
    """At one number, hang in C code, which only a kill ends."""
    if number == 40:
        sum(iter(int, 1))
    return number


@task(max_attempts=3, backoff=0)
def second_time(number: int) -> int:
    """Fail the first time at some numbers."""
    if number % 10 == 0 and not there(f"seen{number}"):
        append(f"seen{number}", number)
        raise ValueError("not yet")
    return number


@task
async def asame(number: int) -> int:
    """Return what it gets, in the event loop."""
    await asyncio.sleep(0)
    return number


@task(takes_context=True)
def told(context: TaskContext, number: int) -> str:
    """Return the id that the context tells."""
    return f"{context.task_result.id} {number} {context.task_result.args}"


@task
def note_end(map_id: str) -> None:
    """Note that a map has ended."""
    append("ended", map_id)


@task
def hold(name: str) -> str:
    """Run until the test lets it go; other names return at once."""
    if name:
        append("held", name)
        while not there(f"{name}.go"):
            time.sleep(0.005)
    return name


@task(timeout=0.3)
def swallows(number: int) -> int:
    """At some numbers, take too long, and swallow what it is told."""
    if number % 10 == 3:
        try:
            while True:
                time.sleep(0.01)
        except OSError:
            pass
    return number
