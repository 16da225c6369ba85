"""Check whether a caller's transaction can see what workers write; if not, waits cannot end."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from django.db import DatabaseError, Error, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.patience import is_in_transaction
from mainspring.backends.database.vendors import Dialect
from mainspring.backends.database.vendors.base import Row

_SNAPSHOT: Final = "the transaction reads from a snapshot, so it never sees what a worker writes"
_NEW: Final = "it was enqueued in this transaction, so no worker sees it before the commit"
_CHANGED: Final = "it was changed in this transaction, and no worker sees that before the commit"

type Read = Callable[[BaseDatabaseWrapper], Sequence[Row]]


def keeps_snapshot(connection: BaseDatabaseWrapper, dialect: Dialect) -> bool:
    """Return True if an open transaction never sees commits after its first read."""
    with connection.cursor() as cursor:
        cursor.execute(dialect.sql("isolation"))
        level: str = cursor.fetchone()[-1]
    return not level.lower().startswith("read")


def has_ended_in_conflict(connection: BaseDatabaseWrapper, dialect: Dialect) -> bool:
    """Return True if no retry within the caller's transaction can succeed."""
    return is_in_transaction(connection) and (
        connection.needs_rollback or keeps_snapshot(connection, dialect)
    )


def find_out(connection: BaseDatabaseWrapper, dialect: Dialect, read: Read) -> None:
    """Find out whether an open read of the caller's keeps its connection in the past.

    Call this outside a transaction. If it does, later reads use another connection.
    """
    seen = read(connection)
    with dialect.apart(connection):
        is_behind = read(connection) != seen and read(connection) != seen
    if not is_behind:
        dialect.caught_up(connection)


def hidden_because(
    connection: BaseDatabaseWrapper, dialect: Dialect, read: Read, ended_at: int
) -> str:
    """Return why the open transaction of ``connection`` can never see the end of a job or map.

    Return an empty string if it may see it. ``read`` reads the row, if it exists, on a connection.
    ``ended_at`` is the index of the column that is not None once the job or map has ended.
    """
    if keeps_snapshot(connection, dialect):
        return _SNAPSHOT
    outside = dialect.new_connection(connection)
    if outside is connection:  # an in-memory database has only one connection
        return ""
    try:
        # Without another connection, the answer is unknown.
        with suppress(DatabaseError, InterfaceError):
            rows = read(outside)
            if not rows:
                return _NEW
            if rows[0][ended_at] is not None and _is_open(read(connection), ended_at):
                return _CHANGED
    finally:
        with suppress(Error):
            outside.close()
    return ""


def _is_open(rows: Sequence[Row], ended_at: int) -> bool:
    return bool(rows) and rows[0][ended_at] is None
