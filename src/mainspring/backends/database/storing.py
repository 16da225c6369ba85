"""Storing new jobs on the caller's connection, in the caller's transaction."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.vendors import Dialect
from mainspring.backends.database.vendors.base import Row
from mainspring.core.jobs import Job, State

_STATE: Final = Job._fields.index("state")


def store(
    connection: BaseDatabaseWrapper, dialect: Dialect, rows: Sequence[Row], is_again: bool = False
) -> None:
    """Insert jobs, all or none, and have those wait for their limits that are held.

    ``is_again``: an earlier try may have stored them.
    """
    insert = dialect.insert_again if is_again else dialect.insert
    held = _held(rows)
    if not held:
        insert(connection, rows)
        return
    with transaction.atomic(dialect.alias):
        insert(connection, rows)
        with connection.cursor() as cursor:
            dialect.hold(cursor, held)


def store_as_made(
    connection: BaseDatabaseWrapper, dialect: Dialect, batches: Iterator[Sequence[Row]]
) -> None:
    """Do :func:`store` for jobs that are still being made: all of them held, or none."""
    first = next(batches, ())
    if not _held(first):
        dialect.insert_as_made(connection, chain((first,), batches))
        return
    held: list[str] = []

    def noted() -> Iterator[Sequence[Row]]:
        for rows in chain((first,), batches):
            held.extend(row[0] for row in rows)
            yield rows

    with transaction.atomic(dialect.alias):
        dialect.insert_as_made(connection, noted())
        with connection.cursor() as cursor:
            dialect.hold(cursor, held)


def _held(rows: Sequence[Row]) -> list[str]:
    return [row[0] for row in rows if row[_STATE] == State.HELD]
