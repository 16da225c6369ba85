"""Ten ways not to end, and what a task can do about its timeout."""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import threading
import time
from typing import Any, Never

from jobs.tasks import append, there, write
from mainspring import Retry, Snooze, TaskCancelled, TaskContext, TaskTimeout, task

hanging = task(timeout=0.5)
"""Declares a task that is not to take longer than half a second."""


@hanging
def sleeps() -> None:
    """Sleep."""
    time.sleep(1000)


@hanging
def reads_socket() -> None:
    """Wait for what nobody sends."""
    ours, _theirs = socket.socketpair()
    ours.recv(1)


@hanging
def waits_for_lock() -> None:
    """Wait for itself."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@hanging
def loops() -> Never:
    """Compute without an end."""
    while True:
        pass


@hanging
def loops_and_catches_all() -> Never:
    """Compute without an end, whatever is raised."""
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


@hanging
def holds_the_interpreter() -> None:
    """Compute in C, without ever letting go of the interpreter."""
    sum(itertools.repeat(0))


@hanging
def waits_for_program() -> None:
    """Wait for another program."""
    subprocess.run(["sleep", "1000"], check=True)


@hanging
async def asleeps() -> None:
    """Sleep in the event loop."""
    await asyncio.sleep(1000)


@hanging
async def aloops() -> Never:
    """Block the event loop."""
    while True:
        pass


def _recurse() -> None:
    try:
        _recurse()
    except RecursionError:
        _recurse()


@hanging
def recurses_deeply() -> None:
    """Recurse, and again from wherever the limit is met."""
    _recurse()


@task(timeout=0.3)
def cleans_up(name: str) -> None:
    """Say that it was told, and end."""
    try:
        time.sleep(1000)
    except TaskTimeout:
        write(name, "cleaned up")
        raise


@task(timeout=0.3)
async def acleans_up(name: str) -> None:
    """Say that it was told, and end."""
    try:
        await asyncio.sleep(1000)
    except TaskTimeout:
        write(name, "cleaned up")
        raise


@task(timeout=0.3)
def wraps() -> None:
    """Raise another error when told, as drivers do: it is a TimeoutError, and so an OSError."""
    try:
        time.sleep(1000)
    except OSError as error:
        raise ConnectionError("lost") from error


@task(timeout=0.3)
async def awraps() -> None:
    """Do so in the event loop."""
    try:
        await asyncio.sleep(1000)
    except OSError as error:
        raise ConnectionError("lost") from error


@task(timeout=0.3, max_attempts=2)
def wants_another_attempt(name: str) -> str:
    """Say itself, when told, when to be run again."""
    if there(name):
        return "done"
    try:
        time.sleep(1000)
    except TaskTimeout:
        write(name, "told")
        raise Retry(after=0) from None
    return "not told"


@task(timeout=0.3, max_attempts=2, backoff=0)
def hangs_once(name: str) -> str:
    """Hang at the first attempt, in C."""
    if not there(name):
        write(name, "hung")
        sum(itertools.repeat(0))
    return "done"


@task
def waits_to_be_cancelled(name: str) -> None:
    """Run until it is told to end."""
    write(f"{name}.started", str(os.getpid()))
    try:
        time.sleep(1000)
    finally:
        write(f"{name}.ended", str(os.getpid()))


@task
async def awaits_to_be_cancelled(name: str) -> None:
    """Run until it is told to end."""
    write(f"{name}.started", str(os.getpid()))
    try:
        await asyncio.sleep(1000)
    finally:
        write(f"{name}.ended", str(os.getpid()))


@task
def ends_late(name: str) -> str:
    """Take one's time when told to end; the next time, end at once."""
    append("runs", "begins", os.getpid())
    if there(f"{name}.told"):
        return "done"
    try:
        while True:  # a thread is told when it runs Python code
            time.sleep(0.002)
    except TaskCancelled:
        write(f"{name}.told", "told")
        while not there(f"{name}.go"):
            time.sleep(0.002)
        append("runs", "ends", os.getpid())
        raise


@task
async def aends_late(name: str) -> str:
    """Do so in the event loop."""
    append("runs", "begins", os.getpid())
    if there(f"{name}.told"):
        return "done"
    try:
        await asyncio.sleep(1000)
    except TaskCancelled:
        write(f"{name}.told", "told")
        while not there(f"{name}.go"):  # noqa: ASYNC110 # the test is another process
            await asyncio.sleep(0.002)
        append("runs", "ends", os.getpid())
        raise


@task
def never_ends(name: str) -> Never:
    """Run until its process is killed."""
    write(f"{name}.started", str(os.getpid()))
    while True:
        # Twice: the exception is raised repeatedly, perhaps between two turns of the inner loop.
        with contextlib.suppress(BaseException):
            while True:
                with contextlib.suppress(BaseException):
                    time.sleep(1000)


@task
def exits_hard(status: int) -> Never:
    """End the process without a word."""
    os._exit(status)


@task
async def aexits_hard(status: int) -> Never:
    """End the process without a word, from the event loop."""
    await asyncio.sleep(0)
    os._exit(status)


@task
def crashes_in_c() -> None:
    """Read where nothing is."""
    import ctypes

    ctypes.string_at(0)


@task(max_attempts=3, backoff=0.05, takes_context=True)
def fails_twice(context: TaskContext) -> int:
    """Fail at the first two attempts."""
    append("attempts", context.attempt, time.time())
    if context.attempt < 3:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@task(max_attempts=5, takes_context=True)
def asks_for_a_retry(context: TaskContext) -> int:
    """Ask for another attempt, once."""
    if context.attempt < 2:
        raise Retry(after=0.05)
    return context.attempt


@task(takes_context=True)
def snoozes(context: TaskContext, name: str) -> int:
    """Wait for a file without holding a slot."""
    append("looks", time.time())
    if not there(name):
        raise Snooze(after=0.05)
    return context.attempt


@task(takes_context=True)
def makes_progress(context: TaskContext, name: str) -> dict[str, Any]:
    """Say how far it is, very often, and wait to be looked at."""
    for i in range(20_000):
        context.progress(i + 1, 20_000, "counting")
    context.metadata["seen"] = True
    write(f"{name}.started", str(os.getpid()))
    while not there(f"{name}.go"):
        time.sleep(0.002)
    return context.metadata
