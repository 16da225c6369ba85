"""All that a task may leave behind: how to leave it, and how to look whether it is there."""

import decimal
import io
import locale
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.utils import timezone, translation

from mainspring import task

ALL = ("sqlite", "postgresql", "mysql")
SERVERS = ("postgresql", "mysql")

mood: ContextVar[str] = ContextVar("mood", default="calm")
kept: list[Any] = []
"""What tasks refer to when they are over."""


class Thing(NamedTuple):
    """One thing that may be left."""

    leave: Callable[[], object]
    look: Callable[[], Any]
    databases: tuple[str, ...] = ()
    """The vendors that have such a thing; none where it is not about databases."""


def _sql(*statements: str) -> Any:
    with connection.cursor() as cursor:
        for one in statements:
            cursor.execute(one)
        return cursor.fetchall() if cursor.description else None


def _by_vendor(**statements: str) -> Any:
    return _sql(statements[connection.vendor])


def _notes() -> Any:
    return _sql("SELECT count(*) FROM note")[0][0]


def _leave_atomic() -> None:
    transaction.atomic().__enter__()
    _sql("INSERT INTO note VALUES ('left')")


def _leave_manual() -> None:
    transaction.set_autocommit(False)
    _sql("INSERT INTO note VALUES ('left')")


def _leave_begun() -> None:
    _sql("BEGIN", "INSERT INTO note VALUES ('left')")


def _leave_setting() -> None:
    _by_vendor(
        sqlite="PRAGMA cache_size = 77",
        postgresql="SET lock_timeout = '77s'",
        mysql="SET SESSION sql_select_limit = 77",
    )


def _setting() -> Any:
    return _by_vendor(
        sqlite="PRAGMA cache_size",
        postgresql="SHOW lock_timeout",
        mysql="SELECT @@sql_select_limit",
    )


def _leave_transaction_setting() -> None:
    _sql("SET LOCAL statement_timeout = '77s'")


def _leave_search_path() -> None:
    _by_vendor(postgresql="SET search_path = pg_catalog", mysql="USE information_schema")


def _search_path() -> Any:
    return _by_vendor(postgresql="SHOW search_path", mysql="SELECT DATABASE()")


def _leave_table() -> None:
    _sql("CREATE TEMPORARY TABLE left_table (number integer)")


def _has_table() -> bool:
    try:
        with transaction.atomic():
            _sql("SELECT number FROM left_table")
    except Exception:
        return False
    return True


def _leave_lock() -> None:
    _by_vendor(postgresql="SELECT pg_advisory_lock(77)", mysql="SELECT GET_LOCK('left', 0)")


def _lock() -> Any:
    return _by_vendor(
        postgresql="SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77",
        mysql="SELECT IS_USED_LOCK('left') IS NULL",
    )


def _leave_cursor() -> None:
    cursor = connection.cursor()
    cursor.execute("SELECT 1 UNION ALL SELECT 2")
    cursor.fetchone()
    kept.append(cursor)


def _cursors() -> int:
    found = 0
    for one in kept:
        if hasattr(one, "fetchone"):
            try:
                one.fetchone()
            except Exception:
                continue
            found += 1
    return found


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def _leave_thread() -> None:
    threading.Thread(target=threading.Event().wait, name="left", daemon=True).start()


def _leave_child() -> None:
    # It ends with this process, which holds the other end of its input.
    code = "import sys; sys.stdin.read()"
    kept.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE))


def _leave_file() -> None:
    kept.append(Path(__file__).open())  # noqa: SIM115 # that is what it is about


class _Large:
    pass


def _leave_garbage() -> None:
    large = _Large()
    large.itself = large  # type: ignore[attr-defined]
    del large.itself  # type: ignore[attr-defined]
    kept.append(weakref.ref(large))
    raise LookupError("with variables")


THINGS = {
    "an open atomic() block": Thing(_leave_atomic, _notes, ALL),
    "autocommit turned off": Thing(_leave_manual, _notes, ALL),
    "a transaction begun by SQL": Thing(_leave_begun, _notes, ALL),
    "settings of the session": Thing(_leave_setting, _setting, ALL),
    "settings of the transaction": Thing(
        _leave_transaction_setting, lambda: _sql("SHOW statement_timeout"), ("postgresql",)
    ),
    "search_path, USE": Thing(_leave_search_path, _search_path, SERVERS),
    "temporary tables": Thing(_leave_table, _has_table, ALL),
    "advisory locks": Thing(_leave_lock, _lock, SERVERS),
    "open cursors": Thing(_leave_cursor, _cursors, ("sqlite", "postgresql")),
    "the language": Thing(lambda: translation.activate("de"), translation.get_language),
    "the time zone": Thing(
        lambda: timezone.activate("Asia/Tokyo"), timezone.get_current_timezone_name
    ),
    "context variables": Thing(lambda: mood.set("angry"), mood.get),
    "the decimal context": Thing(
        lambda: setattr(decimal.getcontext(), "prec", 3), lambda: decimal.getcontext().prec
    ),
    "the locale": Thing(
        lambda: locale.setlocale(locale.LC_NUMERIC, "C.UTF-8"),
        lambda: locale.setlocale(locale.LC_NUMERIC),
    ),
    "the working folder": Thing(lambda: os.chdir("/"), lambda: str(Path.cwd())),
    "the umask": Thing(lambda: os.umask(0), _umask),
    "sys.path": Thing(lambda: sys.path.append("/left"), lambda: "/left" in sys.path),
    "the recursion limit": Thing(lambda: sys.setrecursionlimit(7777), sys.getrecursionlimit),
    "signal handlers": Thing(
        lambda: signal.signal(signal.SIGUSR2, lambda *_: None),
        lambda: callable(signal.getsignal(signal.SIGUSR2)),
    ),
    "timers": Thing(
        lambda: signal.setitimer(signal.ITIMER_REAL, 300),
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    ),
    "the variables of a failed attempt": Thing(
        _leave_garbage, lambda: any(type(one) is weakref.ref and one() for one in kept)
    ),
    "the environment": Thing(lambda: os.environ.update(LEFT="1"), lambda: os.environ.get("LEFT")),
    "filters of warnings": Thing(
        lambda: warnings.simplefilter("error", BytesWarning), lambda: len(warnings.filters)
    ),
    "levels of loggers": Thing(
        lambda: logging.getLogger("left").setLevel(7), lambda: logging.getLogger("left").level
    ),
    "threads": Thing(
        _leave_thread, lambda: sum(one.name == "left" for one in threading.enumerate())
    ),
    "child processes": Thing(
        _leave_child, lambda: any(isinstance(one, subprocess.Popen) for one in kept)
    ),
    "open files": Thing(
        _leave_file, lambda: any(isinstance(one, io.IOBase) and not one.closed for one in kept)
    ),
}


def _visit(what: str) -> Any:
    verb, _, name = what.partition(" ")
    if verb == "look":
        return THINGS[name].look()
    if verb == "leave":
        THINGS[name].leave()
    return None


@task
def visit(what: str) -> Any:
    """Look for a thing, leave one, or do nothing."""
    return _visit(what)


@task(atomic=True)
def visit_atomic(what: str) -> Any:
    """Do so in a transaction."""
    return _visit(what)


@task
async def visit_async(what: str) -> Any:
    """Do so in the event loop, with what is about databases in the thread of sync code."""
    name = what.partition(" ")[2]
    if name in THINGS and THINGS[name].databases:
        return await sync_to_async(_visit)(what)
    return _visit(what)


@task
def passed(what: str) -> str:
    """Return what is to be merged; what is bad divides the row."""
    if what == "bad":
        raise ValueError(what)
    return what


@task
def visit_merged(one: Any, other: str) -> list[Any]:
    """Do so as a merge, and collect what is seen."""
    found = one if isinstance(one, list) else []
    try:
        return [*found, _visit(other)]
    except LookupError:  # a merge that fails is the end of the map
        return [*found, None]
