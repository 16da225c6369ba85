"""Retries for a caller that met another writer, or a server that has gone away."""

import time
from collections.abc import Callable
from typing import Final

from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.vendors import Dialect

_PATIENCE: Final = 60.0  # seconds that a caller waits for other writers


def patiently[T](
    connection: BaseDatabaseWrapper,
    dialect: Dialect,
    attempt: Callable[[bool], T],
    failure: DatabaseError | InterfaceError | None = None,
) -> T:
    """Return the result of ``attempt``; retry it as long as another attempt may succeed.

    ``attempt`` receives True if an earlier attempt may have been stored without an answer.
    ``failure`` is the error of a first attempt that was already made.
    """
    end = time.monotonic() + _PATIENCE
    is_again = False
    while True:
        try:
            if failure is not None:
                raise failure
            done = attempt(is_again)
        except (DatabaseError, InterfaceError) as error:
            failure = None
            # Within a transaction, what was read before may be out of date: not ours to retry.
            if is_in_transaction(connection) or time.monotonic() > end:
                raise
            if dialect.is_behind(error):
                with dialect.apart(connection):
                    return patiently(connection, dialect, attempt)
            if dialect.is_transient(error):
                continue
            if not dialect.has_lost_connection(error):
                raise
            # An idle connection may have died long ago. An unanswered statement may be stored.
            connection.close()
            is_again = True
            end = time.monotonic()
        else:
            dialect.caught_up(connection)
            return done


def unhindered[T](connection: BaseDatabaseWrapper, dialect: Dialect, attempt: Callable[[], T]) -> T:
    """Return the result of ``attempt``, which must not take effect twice.

    If it fails because of the connection, without any effect, retry it on another connection.
    """
    try:
        done = attempt()
    except (DatabaseError, InterfaceError) as error:
        if is_in_transaction(connection):
            raise
        if dialect.is_behind(error):
            with dialect.apart(connection):
                return attempt()
        if not dialect.has_lost_connection(error):
            raise
        connection.close()
        if not dialect.is_read_only(error):
            raise
        return attempt()
    dialect.caught_up(connection)
    return done


def let_go(connection: BaseDatabaseWrapper) -> None:
    """Close a connection after its broken transaction.

    If the caller may go on after a savepoint, close it at the end of the request instead.
    """
    if connection.savepoint_ids:
        connection.close_at = time.monotonic()
    else:
        connection.close()


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return True if losing the connection would undo more than the current statement."""
    return connection.in_atomic_block or not connection.autocommit
