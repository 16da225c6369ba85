"""Insert jobs: many as one statement, and large arguments in base64."""

from collections.abc import Sequence
from typing import Any, Final

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.database.vendors.mysql.settling import LARGE, in_base64

_ARGUMENTS: Final = 8  # index of their column in a new job


def insert(cursor: Any, rows: Sequence[Row]) -> None:
    """Insert jobs in the caller's transaction.

    The drivers make one statement of many rows, up to 64 kB.
    """
    for row in rows:
        if is_large(row):
            cursor.execute(statement("mysql", "enqueue_large"), with_base64(row))
    if small := [row for row in rows if not is_large(row)]:
        cursor.executemany(statement("mysql", "enqueue"), small)


def is_large(row: Row) -> bool:
    """Return True if the arguments of a new job are large."""
    return len(row[_ARGUMENTS]) >= LARGE


def with_base64(row: Row) -> Row:
    """Return a new job with its arguments in base64."""
    return (*row[:_ARGUMENTS], in_base64(row[_ARGUMENTS]), *row[_ARGUMENTS + 1 :])
