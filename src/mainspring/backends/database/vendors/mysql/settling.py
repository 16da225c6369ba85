"""Settling: many outcomes in one statement, as JSON that the server reads as a table."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Row
from mainspring.core import codec

LARGE: Final = 1_000_000
"""Bytes from which a job's go in a statement of their own, and as base64: it adds a third, where
the escaping of a literal may double them, so that 10 MiB fit in 16."""


def in_base64(value: bytes | None) -> str | None:
    """Return bytes as what the statements take for large ones."""
    return None if value is None else b64encode(value).decode()


def settle(cursor: Any, outcomes: Sequence[Row]) -> int:
    """Write outcomes whose claims hold; return how many did.

    By their ids, so that two that settle the same jobs do not wait for each other crosswise.
    """
    first: dict[str, Row] = {}
    for outcome in outcomes:
        first.setdefault(outcome[0], outcome)
    settled = 0
    for part in _parts([first[job_id] for job_id in sorted(first)]):
        if _size(part[0]) < LARGE:
            cursor.execute(statement("mysql", "settle"), (codec.encode(part).decode(),))
        else:
            job_id, claim, *values, worker_ids, errors, return_value = part[0]
            large = map(in_base64, (worker_ids, errors, return_value))
            values[0] = int(values[0])  # a state
            cursor.execute(statement("mysql", "settle_large"), (*values, *large, job_id, claim))
        settled += cursor.rowcount
    return settled


def _parts(outcomes: Sequence[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    size = 0
    for outcome in outcomes:
        size += _size(outcome)
        if part and size >= LARGE:
            yield part
            part, size = [], _size(outcome)
        part.append(outcome)
    if part:
        yield part


def _size(outcome: Row) -> int:
    return sum(len(value) for value in outcome[7:] if value is not None)
