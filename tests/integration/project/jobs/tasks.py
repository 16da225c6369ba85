"""Tasks that do what the tests are about; they talk to the tests through files."""

import asyncio
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from mainspring import TaskContext, task

FOLDER: Path = settings.FOLDER


def write(name: str, text: str) -> None:
    """Write a file that is there at once and whole."""
    draft = FOLDER / f".{name}.{threading.get_ident()}"
    draft.write_text(text)
    draft.rename(FOLDER / name)


def append(name: str, *words: object) -> None:
    """Write a line that no other process's line gets into."""
    descriptor = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def there(name: str) -> bool:
    """Whether the test has made a file."""
    return (FOLDER / name).exists()


@task
def nothing() -> None:
    """Do nothing."""


@task
def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


@task
def process() -> int:
    """Return which process runs this."""
    return os.getpid()


@task
def peak() -> int:
    """Return the most memory that this process has had resident, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@task
def sleep(seconds: float) -> float:
    """Take that long; return when it ended."""
    time.sleep(seconds)
    return time.time()


@task
def burn(seconds: float) -> float:
    """Compute that long; return when it ended."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(1000))
    return time.time()


@task
def now(*_args: Any) -> float:
    """Return the present moment."""
    return time.time()


@task(takes_context=True)
def ledger(context: TaskContext, seconds: float = 0.0) -> None:
    """Write a line for each execution."""
    result = context.task_result
    append("ledger", result.id, result.worker_ids[-1], os.getpid(), time.time())
    if seconds:
        time.sleep(seconds)


@task
def hold(name: str) -> int:
    """Say that it runs, and go on when told to."""
    append(f"{name}.runs", os.getpid(), threading.get_ident())
    write(f"{name}.started", str(os.getpid()))
    while not there(f"{name}.go"):
        time.sleep(0.002)
    return os.getpid()


@task
async def ahold(name: str) -> int:
    """Do as ``hold`` does."""
    append(f"{name}.runs", os.getpid())
    write(f"{name}.started", str(os.getpid()))
    while not there(f"{name}.go"):  # noqa: ASYNC110 # the test is another process
        await asyncio.sleep(0.002)
    return os.getpid()


@task
async def asleep(seconds: float) -> float:
    """Take that long; return when it ended."""
    await asyncio.sleep(seconds)
    return time.time()


@task
async def aprocess() -> int:
    """Return which process runs this."""
    return os.getpid()


@task
def order(name: str) -> None:
    """Write its name."""
    append("order", name)


@task
def crash() -> None:
    """Take the process down."""
    os.kill(os.getpid(), signal.SIGKILL)


@task
def crash_once(name: str) -> int:
    """Take the process down the first time."""
    if not there(name):
        write(name, str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@task
def grow(megabytes: int) -> int:
    """Keep so much memory for good."""
    _kept.append(b"x" * (megabytes * 2**20))
    return os.getpid()


_kept: list[bytes] = []


@task(takes_context=True)
async def aledger(context: TaskContext, seconds: float = 0.0) -> None:
    """Write a line for each execution."""
    result = context.task_result
    append("ledger", result.id, result.worker_ids[-1], os.getpid(), time.time())
    await asyncio.sleep(seconds)


@task
def returns_after(name: str, size: int) -> str:
    """Do as ``hold`` does, and return so many letters."""
    hold.func(name)
    return "x" * size


@task
def busy(name: str) -> None:
    """Do as ``hold`` does, without ever letting go of the interpreter."""
    write(f"{name}.started", str(os.getpid()))
    while not there(f"{name}.go"):
        burn.func(0.05)


@task
def fails(text: str) -> None:
    """Raise an error of this text."""
    raise ValueError(text)


@task
async def afails(text: str) -> None:
    """Raise an error of this text."""
    raise ValueError(text)


@task
async def ahold_connected(name: str) -> int:
    """Do as ``hold`` does, and use the database at the end."""
    await ahold.func(name)
    return await sync_to_async(_connect)()


def _connect() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return os.getpid()
