"""Tasks that leave a mess, and one that looks whether it finds any."""

import asyncio
import contextvars
import decimal
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Never

from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.utils import timezone, translation

from jobs.tasks import append, there, write
from mainspring import TaskContext, task
from mainspring.backends.database.models import StoredJob

mood: contextvars.ContextVar[str] = contextvars.ContextVar("mood", default="calm")


def _surroundings() -> dict[str, Any]:
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "folder": str(Path.cwd()),
        "umask": umask,
        "path": sys.path,
        "recursion": sys.getrecursionlimit(),
        "language": translation.get_language(),
        "zone": timezone.get_current_timezone_name(),
        "mood": mood.get(),
        "precision": decimal.getcontext().prec,
    }


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM note")
        return {
            "notes": cursor.fetchone()[0],
            "atomic": connection.in_atomic_block,
            "autocommit": connection.get_autocommit(),
        }


@task
def look() -> dict[str, Any]:
    """Return all that a neighbour might have changed."""
    return {**_surroundings(), **_database()}


@task
async def alook() -> dict[str, Any]:
    """Return all that a neighbour might have changed."""
    return {**_surroundings(), **await sync_to_async(_database)()}


def _note() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES ('left behind')")


# What they raise


@task
def exits() -> Never:
    """Leave Python."""
    sys.exit(3)


@task
def interrupts() -> Never:
    """Behave as if Ctrl-C was pressed."""
    raise KeyboardInterrupt


@task
def ends_a_generator() -> Never:
    """Raise the third exception that is no Exception."""
    raise GeneratorExit


@task
def cancels() -> Never:
    """Raise asyncio's own."""
    raise asyncio.CancelledError


@task
def stops_iteration() -> Never:
    """Raise what coroutines may not."""
    raise StopIteration(1)


@task
async def aexits() -> Never:
    """Leave Python."""
    sys.exit(3)


@task
async def ainterrupts() -> Never:
    """Behave as if Ctrl-C was pressed."""
    raise KeyboardInterrupt


@task
async def aends_a_generator() -> Never:
    """Raise the third exception that is no Exception."""
    raise GeneratorExit


@task
async def acancels() -> Never:
    """Raise asyncio's own."""
    raise asyncio.CancelledError


@task
def recurses() -> Never:
    """Never end."""
    recurses.func()


class BrokenError(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


@task
def raises_broken() -> Never:
    """Raise what cannot be printed."""
    raise BrokenError


@task
def raises_surrogate() -> Never:
    """Raise a text that is not Unicode."""
    raise ValueError("half a \ud83d pair and a \0")


@task
def raises_huge() -> Never:
    """Raise 10 MB."""
    raise ValueError("x" * 10_000_000)


@task
def raises_group() -> Never:
    """Raise several at once."""
    raise ExceptionGroup("all", [ValueError("one"), TypeError("two")])


@task
def raises_in_circles() -> Never:
    """Raise an error that is its own cause's cause."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


@task
def raises_odd_class() -> Never:
    """Raise an error whose class has no module."""
    raise type("Odd", (Exception,), {"__module__": None})("odd")


# What they return


@task
def returns(what: str) -> Any:
    """Return what is not JSON."""
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return {
        "object": object(),
        "date": timezone.now(),
        "set": {1},
        "nan": float("nan"),
        "keys": {1: 2},
        "surrogate": "\ud800",
        "loop": loop,
        "deep": deep,
        "big": "x" * 11_000_000,
        "coroutine": looks_like_a_value(),
    }[what]


def looks_like_a_value() -> Any:
    """Return a generator."""
    yield 1


# What they change


@task
def closes_connections() -> None:
    """Close what others need."""
    _database()
    connection.close()
    connections.close_all()


@task
def leaves_transaction() -> None:
    """Begin, and do not commit."""
    transaction.atomic().__enter__()
    _note()


@task
def leaves_nested_transaction() -> None:
    """Begin twice, and raise."""
    transaction.atomic().__enter__()
    transaction.atomic().__enter__()
    _note()
    raise ValueError("in the middle")


@task
def leaves_raw_transaction() -> None:
    """Begin behind Django's back."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
    _note()


@task
def turns_autocommit_off() -> None:
    """Begin without an end."""
    connection.set_autocommit(False)
    _note()


@task
def breaks_connection() -> None:
    """Close the connection where Django does not see it."""
    connection.ensure_connection()
    connection.connection.close()


@task(takes_context=True)
def deletes_itself(context: TaskContext) -> None:
    """Delete its own row."""
    StoredJob.objects.filter(pk=context.task_result.id).delete()
    append("deleted", context.task_result.id)


@task
def changes_folder() -> None:
    """Go elsewhere."""
    os.chdir("/")


@task
def deletes_folder() -> None:
    """Go to a folder that is gone then."""
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()


@task
def changes_umask() -> None:
    """Let all write."""
    os.umask(0)


@task
def clears_path() -> None:
    """Have no import path."""
    sys.path.clear()


@task
def replaces_path() -> None:
    """Have another import path."""
    sys.path = ["/nowhere"]


@task
def raises_recursion_limit() -> None:
    """Allow much."""
    sys.setrecursionlimit(100_000)


@task
def lowers_recursion_limit() -> None:
    """Allow next to nothing; then fail where there is nothing left."""
    depth, frame = 0, sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        depth += 1
    sys.setrecursionlimit(depth + 6)
    raise ValueError("no room")


@task
def speaks_french() -> None:
    """Activate another language and time zone."""
    translation.activate("fr")
    timezone.activate("Asia/Tokyo")


@task
def sets_context() -> None:
    """Set context variables."""
    mood.set("angry")
    decimal.getcontext().prec = 3


@task
async def asets_context() -> None:
    """Set context variables, also after a pause."""
    mood.set("angry")
    translation.activate("fr")
    await asyncio.sleep(0)
    decimal.getcontext().prec = 3


@task
async def aleaves_transaction() -> None:
    """Begin in the thread for sync code."""
    await sync_to_async(leaves_transaction.func)()


@task
async def achanges_all() -> None:
    """Change what the process has."""
    os.chdir("/")
    os.umask(0)
    sys.path.clear()
    sys.setrecursionlimit(100_000)


# What they do to the event loop


@task
async def acancels_itself() -> str:
    """Cancel the asyncio task that it runs in, and return."""
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    return "returned"


@task
async def acancels_itself_and_waits() -> None:
    """Cancel the asyncio task that it runs in, and wait."""
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(1)


@task
async def astops_loop() -> str:
    """Stop the loop that all share."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "went on"


async def _exit() -> Never:
    sys.exit(4)


@task
async def aspawns_exit() -> str:
    """Have another coroutine leave Python."""
    asyncio.get_running_loop().create_task(_exit())
    await asyncio.sleep(0.01)
    return "went on"


@task
async def aleaves_coroutine() -> None:
    """Leave something running."""
    asyncio.get_running_loop().create_task(asyncio.sleep(3600))


@task
def leaves_thread() -> None:
    """Leave a thread running."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()


@task
def breaks_worker(name: str) -> None:
    """Leave a connection behind that cannot even be let go of; the first time."""
    connection.ensure_connection()
    if not there(name):
        write(name, "broken")
        connection.close_if_unusable_or_obsolete = _fail


@task
async def abreaks_worker(name: str) -> None:
    """Do as ``breaks_worker`` does."""
    await sync_to_async(breaks_worker.func)(name)


def _fail() -> Never:
    raise RuntimeError("broken by a task")
