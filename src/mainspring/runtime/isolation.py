"""Isolate tasks from each other, by restoring the state that a task has changed."""

import _locale
import contextvars
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from locale import LC_ALL, LC_COLLATE, LC_CTYPE, LC_MONETARY, LC_NUMERIC, LC_TIME, setlocale
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import Error, connections
from django.db.backends.signals import connection_created

from mainspring.runtime import dispositions, sessions

logger = logging.getLogger("mainspring")

# A query for each category takes 0.2 µs; one for LC_ALL takes 3 µs.
_CATEGORIES: Final = LC_NUMERIC, LC_TIME, LC_MONETARY, LC_COLLATE, LC_CTYPE
_locale_of: Final = _locale.setlocale  # without the argument checks of the module locale
_LONGEST_CANCEL: Final = 1.0  # seconds
_ACTIVE: Final = 1  # libpq's status of a connection that waits for an answer

# The threads in which tasks run, and those of them in which Django has opened a connection: most
# no-op tasks never open one, and asking Django for its open connections takes 1 µs.
_task_threads: set[int] = set()
_threads_with_connections: set[int] = set()


@dataclass
class _SyncThread:
    ident: int | None = None
    running: int = 0
    """The number of running async tasks that may be using its connections."""


_sync_thread = _SyncThread()


def _forked() -> None:
    # A child has none of its parent's threads but the one that forks it.
    _sync_thread.ident, _sync_thread.running = None, 0
    for threads in (_task_threads, _threads_with_connections):
        threads.intersection_update({threading.get_ident()})


os.register_at_fork(after_in_child=_forked)


def _connection_opened(*, connection: Any, **_kwargs: Any) -> None:
    thread = threading.get_ident()
    if thread in _task_threads and connections[connection.alias] is connection:
        _threads_with_connections.add(thread)
        sessions.watch(connection)


connection_created.connect(_connection_opened, dispatch_uid="mainspring.isolation")


def expect_tasks() -> None:
    """Register the calling thread as one that runs tasks."""
    thread = threading.get_ident()
    if thread not in _task_threads:
        _task_threads.add(thread)
        if any(one.connection for one in connections.all(initialized_only=True)):
            _threads_with_connections.add(thread)


def expect_no_tasks() -> None:
    """Unregister the calling thread, which is about to end."""
    thread = threading.get_ident()
    _task_threads.discard(thread)
    _threads_with_connections.discard(thread)


def has_connections() -> bool:
    """Whether tasks have opened a database connection in the calling thread."""
    return threading.get_ident() in _threads_with_connections


def expect_connections() -> None:
    """Record that the calling thread has, or will have, a database connection."""
    _threads_with_connections.add(threading.get_ident())


def prepare_connections(spared: str | None = None) -> None:
    """Call :func:`tidy_connections` before a task, and track its changes to sessions."""
    tidy_connections(spared)
    watch_connections(spared)


def watch_connections(spared: str | None = None) -> None:
    """Start to track the changes that statements make to sessions of open connections."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and connection.alias != spared:
            sessions.watch(connection)


def expect_no_changes(alias: str) -> None:
    """Start to track changes for :func:`has_changes`."""
    if (watch := sessions.watch_of(connections[alias])) is not None:
        watch.change = ""


def has_changes(alias: str) -> bool:
    """Return True if a statement has changed the session or transaction, or a cursor is in use."""
    watch = sessions.watch_of(connections[alias])
    return watch is not None and (watch.change != "" or watch.has_cursors)


def has_session_changes(alias: str) -> bool:
    """Return True if a statement has changed the session for longer than its transaction."""
    watch = sessions.watch_of(connections[alias])
    return watch is not None and watch.change == "session"


def tidy_connections(
    spared: str | None = None, *, keeps: bool = False, is_shared: bool = False
) -> None:
    """Restore the calling thread's connections to their initial state.

    Transactions that were left open are rolled back, cursors closed. A connection is closed if it
    is broken, if it is too old, or if statements have changed its session. ``spared`` is the alias
    of a connection to leave alone. With ``keeps``, between two calls of a row of a map, age does
    not matter. With ``is_shared``, while other tasks use the connections, only transactions
    and broken connections matter.
    """
    for connection in connections.all(initialized_only=True):
        if not is_shared:
            connection.queries_log.clear()  # logged with DEBUG; cleared as between requests
        if connection.alias == spared:
            continue
        if connection.connection is not None and sessions.is_lost(connection):
            _forget_transaction(connection)
            with suppress(Error):
                connection.close()
        elif sessions.is_in_transaction(connection):
            logger.warning(
                "A task left a transaction open on database %r; it was rolled back",
                connection.alias,
                extra={"database": connection.alias},
            )
            _abandon(connection)
        elif connection.connection is not None and not is_shared:
            _end_session(connection)
        # A driver may even refuse to close a broken connection: then it is dropped.
        with suppress(Error):
            _close_if_needed(connection, keeps or is_shared)
        if not (keeps or is_shared):
            sessions.unwatch(connection)


def close_connections(spared: str | None = None) -> None:
    """Close the calling thread's connections, as a driver may have been interrupted.

    The connection of the ``spared`` alias stays open. Django's view of the others may be wrong:
    they may be in a transaction, or wait for an answer.
    """
    for connection in connections.all(initialized_only=True):
        if connection.alias != spared:
            _drop(connection)


def _drop(connection: Any) -> None:
    raw = connection.connection
    if connection.vendor == "sqlite":
        with suppress(Exception):
            raw.rollback()  # closing does not end the transaction while a statement is open
    elif raw is not None:
        with suppress(Exception):
            if connection.vendor == "postgresql" and raw.info.transaction_status == _ACTIVE:
                _stop_statement(raw)
        with suppress(Exception):
            raw.close()  # return it to the pool closed
    _forget_transaction(connection)
    with suppress(Exception):
        connection.close()


def _stop_statement(raw: Any) -> None:
    # The server does not notice that no client waits for the statement.
    if hasattr(raw, "cancel_safe"):
        raw.cancel_safe(timeout=_LONGEST_CANCEL)
    else:  # psycopg2
        raw.cancel()


def _end_session(connection: Any) -> None:
    # If statements have changed the session: only closing restores all of it.
    if (watch := sessions.watch_of(connection)) is None:
        return
    watch.close_cursors()
    if watch.change == "session":
        with suppress(Error):
            _close(connection)
    watch.change = ""


def _close(connection: Any) -> None:
    with connection.wrap_database_errors:
        if connection.settings_dict["OPTIONS"].get("pool"):
            connection.connection.close()  # or the pool would reuse the session
    connection.close()


def _close_if_needed(connection: Any, keeps: bool) -> None:
    close_at = connection.close_at
    if keeps:
        connection.close_at = None
    connection.close_if_unusable_or_obsolete()
    if keeps and connection.connection is not None:
        connection.close_at = close_at


async def atidy_connections(*, is_before: bool = False) -> None:
    """Call :func:`tidy_connections` in the thread in which async tasks use the database.

    ``is_before``: a task is about to begin.
    """
    if _sync_thread.ident is None:
        _sync_thread.ident = await sync_to_async(_enter_sync_thread)()
    if _sync_thread.ident in _threads_with_connections:
        if _sync_thread.running > 1:
            await sync_to_async(tidy_connections)(is_shared=True)
        else:
            await sync_to_async(prepare_connections if is_before else tidy_connections)()


def _enter_sync_thread() -> int:
    expect_tasks()
    return threading.get_ident()


@contextmanager
def using_sync_thread() -> Iterator[None]:
    """Count an async task among those that may be using its thread's connections."""
    _sync_thread.running += 1
    try:
        yield
    finally:
        _sync_thread.running -= 1


def _abandon(connection: Any) -> None:
    with suppress(Error), connection.wrap_database_errors:
        if connection.connection is not None:
            connection.connection.rollback()
    _forget_transaction(connection)
    with suppress(Error):
        _close(connection)


def _forget_transaction(connection: Any) -> None:
    connection.in_atomic_block = False
    connection.savepoint_ids = []
    connection.needs_rollback = False
    connection.run_on_commit = []
    connection.closed_in_transaction = False
    connection.atomic_blocks = []


def context_for_tasks() -> contextvars.Context:
    """Return the present context, of which each task gets a copy of its own.

    Without the decimal context that an import, such as psycopg's, may have left in it: that one
    object would be shared by all copies. Tasks begin with ``decimal.DefaultContext``, as threads
    do.
    """
    context = contextvars.Context()
    for variable, value in contextvars.copy_context().items():
        if variable.name != "decimal_context":
            context.run(variable.set, value)
    return context


class Surroundings:
    """What all tasks of a process share, as it was when the worker started; 1 µs to restore."""

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109 # a third of the time of Path.cwd()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._recursion_limit = sys.getrecursionlimit()
        self._locale = setlocale(LC_ALL)
        self._categories = [*map(_locale_of, _CATEGORIES)]

    def restore(self) -> None:
        """Restore the working folder, umask, import path, recursion limit, locale and signals."""
        dispositions.restore()  # first, because a leftover timer or handler might interrupt us
        if sys.path != self._path:
            sys.path[:] = self._path
        os.umask(self._umask)
        if sys.getrecursionlimit() != self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
        if [*map(_locale_of, _CATEGORIES)] != self._categories:
            setlocale(LC_ALL, self._locale)
        try:
            is_here = os.getcwd() == self._folder  # noqa: PTH109
        except OSError:  # the task has deleted the folder it went to
            is_here = False
        if not is_here:
            with suppress(OSError):
                os.chdir(self._folder)


def apart[**P, R](
    func: Callable[P, R], context: contextvars.Context, surroundings: Surroundings
) -> Callable[P, R]:
    """Return ``func`` wrapped so that its calls are isolated from each other; 2 µs for each."""
    copy, restore, thread = context.copy, surroundings.restore, threading.get_ident

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return copy().run(func, *args, **kwargs)
        finally:
            restore()
            if thread() in _threads_with_connections:
                tidy_connections(keeps=True)

    return call
