"""Keeps tasks from noticing each other: what one leaves changed is put back after it."""

import contextvars
import logging
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import Error, connections
from django.db.backends.signals import connection_created

from mainspring.runtime import dispositions

logger = logging.getLogger("mainspring")

_LONGEST_CANCEL: Final = 1.0  # seconds
_ACTIVE: Final = 1  # libpq's status of a connection that waits for an answer

# The threads in which Django has opened a connection: most no-op tasks never do, and asking
# Django for its open connections takes 1 µs.
_threads_with_connections: set[int] = set()


@dataclass
class _SyncThread:
    ident: int | None = None


_sync_thread = _SyncThread()


def _connection_opened(*, connection: Any, **_kwargs: Any) -> None:
    if connections[connection.alias] is connection:
        _threads_with_connections.add(threading.get_ident())


connection_created.connect(_connection_opened, dispatch_uid="mainspring.isolation")


def has_connections() -> bool:
    """Whether tasks have opened a database connection in the calling thread."""
    return threading.get_ident() in _threads_with_connections


def expect_connections() -> None:
    """Say that the calling thread has, or will have, a database connection."""
    _threads_with_connections.add(threading.get_ident())


def tidy_connections(spared: str | None = None) -> None:
    """Close the calling thread's connections that are too old, broken or left in a transaction.

    But for that of the ``spared`` alias.
    """
    for connection in connections.all(initialized_only=True):
        if connection.alias == spared:
            continue
        if connection.in_atomic_block or (
            connection.connection is not None and not connection.get_autocommit()
        ):
            logger.warning(
                "A task left a transaction open on database %r; it was rolled back",
                connection.alias,
                extra={"database": connection.alias},
            )
            _abandon(connection)
        # What a task has broken, a driver may even refuse to close: then it is let go.
        with suppress(Error):
            connection.close_if_unusable_or_obsolete()


def close_connections(spared: str | None = None) -> None:
    """Close the calling thread's connections, as a driver may have been interrupted.

    But for that of the ``spared`` alias. What Django knows of such a connection need not be so: it
    may be in a transaction, or wait for an answer.
    """
    for connection in connections.all(initialized_only=True):
        if connection.alias != spared:
            _drop(connection)


def _drop(connection: Any) -> None:
    raw = connection.connection
    if connection.vendor == "sqlite":
        with suppress(Exception):
            raw.rollback()  # as long as a statement is alive, to close it does not end that
    elif raw is not None:
        with suppress(Exception):
            if connection.vendor == "postgresql" and raw.info.transaction_status == _ACTIVE:
                _stop_statement(raw)
        with suppress(Exception):
            raw.close()  # a pool is to get it closed
    _forget_transaction(connection)
    with suppress(Exception):
        connection.close()


def _stop_statement(raw: Any) -> None:
    # The server does not notice that nobody waits for it any more.
    if hasattr(raw, "cancel_safe"):
        raw.cancel_safe(timeout=_LONGEST_CANCEL)
    else:  # psycopg2
        raw.cancel()


async def atidy_connections() -> None:
    """Do :func:`tidy_connections` in the thread in which async tasks use the database."""
    if _sync_thread.ident is None:
        _sync_thread.ident = await sync_to_async(threading.get_ident)()
    if _sync_thread.ident in _threads_with_connections:
        await sync_to_async(tidy_connections)()


def _abandon(connection: Any) -> None:
    with suppress(Error), connection.wrap_database_errors:
        if connection.connection is not None:
            connection.connection.rollback()
    _forget_transaction(connection)
    with suppress(Error):
        connection.close()


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

    def restore(self) -> None:
        """Put back the working folder, umask, import path, recursion limit and signals."""
        dispositions.restore()  # first: what a task has left might hit us
        if sys.path != self._path:
            sys.path[:] = self._path
        os.umask(self._umask)
        if sys.getrecursionlimit() != self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
        try:
            is_here = os.getcwd() == self._folder  # noqa: PTH109
        except OSError:  # the task has deleted the folder it went to
            is_here = False
        if not is_here:
            with suppress(OSError):
                os.chdir(self._folder)
