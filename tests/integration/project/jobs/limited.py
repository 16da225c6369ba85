"""Tasks with limits; each says when it began and ended, in a file of lines."""

import asyncio
import os
import time

from jobs.tasks import append
from mainspring import Limit, Rate, task


def _ran(name: str, seconds: float) -> None:
    began = time.monotonic_ns()
    time.sleep(seconds)
    append(name, began, time.monotonic_ns(), os.getpid())


@task(concurrency=Limit(3))
def three(seconds: float) -> None:
    """Run with two others at most."""
    _ran("three", seconds)


@task(concurrency=Limit(3, name="athree"))
async def athree(seconds: float) -> None:
    """Run with two others at most, in the event loop."""
    began = time.monotonic_ns()
    await asyncio.sleep(seconds)
    append("athree", began, time.monotonic_ns())


@task(concurrency=Limit(1, key="{name}"))
def one_each(name: str, seconds: float) -> None:
    """Run with no other of its name."""
    _ran(f"one-{name}", seconds)


@task(rate=Rate(20, per=1))
def twenty() -> None:
    """Start with nineteen others within any second."""
    append("twenty", time.monotonic_ns())


@task(concurrency=Limit(3, name="shared"), max_attempts=100, backoff=0)
def dies(seconds: float) -> None:
    """Run with two others at most, while processes are killed."""
    _ran("dies", seconds)
