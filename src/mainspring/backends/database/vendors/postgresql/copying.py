"""COPY: many new jobs in one statement."""

from collections.abc import Iterable, Sequence
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.database.vendors.postgresql.binary import (
    END,
    START,
    are_large,
    binary_rows,
)
from mainspring.backends.database.vendors.postgresql.text import (
    are_plain,
    copy_lines,
    whole_copy_lines,
)

_STEP: Final = 500  # rows: the server stores them while the next are made into text


def copy_all(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    """Copy new jobs."""
    if are_large(rows):
        _copy_large(connection, rows)
        return
    steps = range(0, len(rows), _STEP)
    copy(connection, (rows[start : start + _STEP] for start in steps), are_plain(rows))


def _copy_large(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement("postgresql", "enqueue_large")) as writer,
    ):
        writer.write(START + binary_rows(rows) + END)


def copy(connection: BaseDatabaseWrapper, batches: Iterable[Sequence[Row]], is_plain: bool) -> None:
    """Copy new jobs that come in batches; ``is_plain``: without options, metadata and limits."""
    name, lines = (
        ("enqueue_many", copy_lines) if is_plain else ("enqueue_many_whole", whole_copy_lines)
    )
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement("postgresql", name)) as writer,
    ):
        for rows in batches:
            writer.write(lines(rows))
