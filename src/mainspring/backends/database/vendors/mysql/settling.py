"""Settling: many outcomes in one statement, as JSON that the server reads as a table."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db import OperationalError

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Row
from mainspring.core import codec

LARGE: Final = 1_000_000
"""Bytes from which a job's go in a statement of their own, and as base64: it adds a third, where
the escaping of a literal may double them, so that 10 MiB fit in 16."""

_BRIEFLY: Final = "/*M! SET STATEMENT innodb_lock_wait_timeout = 1 FOR */ "
_REST: Final = 2_000  # bytes of a statement beside its values, at most
_TOO_LONG: Final = 1153  # the server's own number for it


def in_base64(value: bytes | None) -> str | None:
    """Return bytes as what the statements take for large ones."""
    return None if value is None else b64encode(value).decode()


def settle(
    cursor: Any, outcomes: Sequence[Row], longest: int | None, is_guest: bool = False
) -> int:
    """Write outcomes whose claims hold; return how many did.

    ``is_guest``: the connection is not our own, and may be set to wait for long. MySQL, which
    cannot be told so for one statement, waits then.

    Raises ``OperationalError`` for a statement that is longer than the server takes, in bytes,
    where that is known: told by the server itself, it would be a connection that breaks.

    By their ids, so that two that settle the same jobs do not wait for each other crosswise.
    """
    first: dict[str, Row] = {}
    for outcome in outcomes:
        first.setdefault(outcome[0], outcome)
    settled, how = 0, _BRIEFLY if is_guest else ""
    for part in _parts([first[job_id] for job_id in sorted(first)]):
        if _size(part[0]) < LARGE:
            rows = codec.encode(part).decode()
            if longest is not None and 2 * len(rows) > longest:
                _require_shorter(len(rows) + rows.count('"') + rows.count("\\"), longest)
            cursor.execute(how + statement("mysql", "settle"), (rows,))
        else:
            job_id, claim, *values, worker_ids, errors, return_value = part[0]
            large = [in_base64(value) for value in (worker_ids, errors, return_value)]
            values[0] = int(values[0])  # a state
            if longest is not None:
                _require_shorter(sum(len(value) for value in large if value is not None), longest)
            cursor.execute(
                how + statement("mysql", "settle_large"), (*values, *large, job_id, claim)
            )
        settled += cursor.rowcount
    return settled


def _require_shorter(length: int, longest: int) -> None:
    if length + _REST > longest:
        raise OperationalError(
            _TOO_LONG,
            f"A statement of {length:,} bytes is more than max_allowed_packet, {longest:,} bytes",
        )


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
