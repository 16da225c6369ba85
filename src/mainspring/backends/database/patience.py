"""Trying again, for a caller who met another writer or a server that has gone away."""

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
    """Return what ``attempt`` returns, tried again where another try may pass.

    It is told whether an earlier try may have been stored without an answer. ``failure`` is what a
    first try, made already, has ended in.
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
            # It may have died long ago, idle; and what was not answered may be stored.
            connection.close()
            is_again = True
            end = time.monotonic()
        else:
            dialect.caught_up(connection)
            return done


def unhindered[T](connection: BaseDatabaseWrapper, dialect: Dialect, attempt: Callable[[], T]) -> T:
    """Return the result of ``attempt``, which must not run twice.

    Where the connection is what hinders it, and it had no effect, it is done on another one.
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

    Where the caller may go on after a savepoint, that is at the end of its request.
    """
    if connection.savepoint_ids:
        connection.close_at = time.monotonic()
    else:
        connection.close()


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether more than the present statement would be lost with the connection."""
    return connection.in_atomic_block or not connection.autocommit
