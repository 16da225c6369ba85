"""Tasks that end in other ways than tasks do, or leave what was interrupted behind."""

import asyncio
import multiprocessing
import os
import time
from contextlib import suppress
from typing import Any

from django.db import connection

from jobs.tasks import append
from mainspring import TaskContext, TaskTimeout, task

hanging = task(timeout=0.4)
"""Declares a task that is not to take longer than a moment."""


@task
async def acancels_all() -> int:
    """Cancel all other asyncio tasks, begun or not."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    return len(others)


# What swallows


def _join() -> None:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    try:
        child.join()  # where multiprocessing takes any OSError for the child's end
    finally:
        child.kill()


@hanging
def joins() -> str:
    """Wait for a child process."""
    _join()
    return "returned"


@hanging
def swallows() -> str:
    """Take whatever is raised for an error of the system, twice."""
    for _ in range(2):
        try:
            while True:
                time.sleep(0.01)
        except OSError:
            pass
    return "returned"


@hanging
async def aswallows() -> str:
    """Do so in the event loop."""
    for _ in range(2):
        with suppress(OSError):
            await asyncio.sleep(1000)
    return "returned"


@hanging
def takes_its_time() -> None:
    """Clean up for longer than the pause after which it would be told again."""
    try:
        while True:
            time.sleep(0.01)
    except TaskTimeout:
        _clean_up()
        raise


def _clean_up() -> None:
    try:
        raise LookupError("something else, in the middle of it")
    except LookupError:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            time.sleep(0.01)
    append("clean", os.getpid())


@hanging
async def atakes_its_time() -> None:
    """Do so in the event loop."""
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(2)
        append("clean", os.getpid())


# What is left on a connection

_LONG = {
    "postgresql": "SELECT pg_sleep(3)",
    "mysql": "SELECT sleep(3)",
    "sqlite": (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000000) "
        "SELECT count(*) FROM n"
    ),
}


@hanging
def waits_for_database() -> None:
    """Wait for an answer."""
    with connection.cursor() as cursor:
        cursor.execute(_LONG[connection.vendor])


@hanging
def begins() -> None:
    """Be interrupted when a transaction has begun of which Django does not know yet."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
        cursor.execute("INSERT INTO note VALUES ('begun')")
    while True:
        time.sleep(0.01)


@task(timeout=0.4, atomic=True)
def waits_for_database_in_transaction() -> None:
    """Write, and wait for an answer."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES ('atomic')")
        cursor.execute(_LONG[connection.vendor])


@task(timeout=0.4)
def waits_at_some(number: int) -> list[int]:
    """As a call of a map, wait for an answer at some numbers."""
    if number == 3:
        waits_for_database.func()
    return notes.func()


@task
def notes() -> list[int]:
    """Write, and return how much there is, and which process this is."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES ('kept')")
        cursor.execute("SELECT count(*) FROM note WHERE text <> 'kept'")
        return [cursor.fetchone()[0], os.getpid()]


@task(takes_context=True, timeout=0.2)
def saves_all_the_time(context: TaskContext, _number: int) -> None:
    """Save metadata until told to end."""
    count = 0
    try:
        while True:
            count += 1
            context.metadata["count"] = count
            context.save_metadata()
    finally:
        append("counts", context.task_result.id, count)


# What is kept alive


class Big:
    """What a task has in a variable, and counts those that are alive."""

    alive = 0

    def __init__(self) -> None:
        type(self).alive += 1

    def __del__(self) -> None:
        type(self).alive -= 1


@task
def fails_with_much() -> None:
    """Fail with much in a variable, and with the error itself in another."""
    big = Big()
    try:
        raise ValueError(f"with {type(big).__name__}")
    except ValueError as error:
        kept = error
        raise LookupError("after that") from kept


@task
async def afails_with_much() -> None:
    """Do so in the event loop."""
    big = Big()
    await asyncio.sleep(0)
    try:
        raise ValueError(f"with {type(big).__name__}")
    except ValueError as error:
        kept = error
        raise LookupError("after that") from kept


@task(atomic=True)
def fails_with_much_in_transaction() -> None:
    """Do so in a transaction."""
    fails_with_much.func()


@task
def fails_with_much_at(number: int) -> int:
    """Do so as a call of a map."""
    if number % 2:
        fails_with_much.func()
    return number


@hanging
def hangs_with_much() -> None:
    """Be told to end with much in a variable, and raise another error for it."""
    big = Big()
    try:
        while True:
            time.sleep(0.01)
    except OSError as error:
        raise ConnectionError(f"with {type(big).__name__}") from error


@hanging
async def ahangs_with_much() -> None:
    """Do so in the event loop."""
    big = Big()
    try:
        await asyncio.sleep(1000)
    except OSError as error:
        raise ConnectionError(f"with {type(big).__name__}") from error


@task
def disables_collection() -> None:
    """Have nothing collected that only a collection finds."""
    import gc

    gc.disable()


@task
def alive() -> Any:
    """Return how many are alive."""
    return Big.alive
