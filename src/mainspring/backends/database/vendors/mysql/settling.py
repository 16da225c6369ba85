"""Settling: many outcomes in one statement, as JSON that the server reads as a table."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db import OperationalError

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Row
from mainspring.core import codec

LARGE: Final = 1_000_000
"""Size in bytes from which a job gets a statement of its own, in base64. That adds a third, while
escaping a literal may double the size; so 10 MiB fit in 16 MiB."""

_BRIEFLY: Final = "/*M! SET STATEMENT innodb_lock_wait_timeout = 1 FOR */ "
_REST: Final = 2_000  # maximum number of bytes in a statement besides its values
_TOO_LONG: Final = 1153  # the server's own number for this error


def in_base64(value: bytes | None) -> str | None:
    """Return bytes in base64, as the statements for large values expect them."""
    return None if value is None else b64encode(value).decode()


def settle(
    cursor: Any, outcomes: Sequence[Row], longest: int | None, is_guest: bool = False
) -> int:
    """Write outcomes whose claims hold; return their number.

    ``is_guest`` means that the connection is not our own and may wait long for locks. MariaDB can
    limit this wait for a single statement; MySQL cannot.

    Raises ``OperationalError`` if a statement has more bytes than ``longest``, unless that is
    None. If the server itself rejected the statement, it would also break the connection.

    Writes in the order of the ids, so that two processes that settle the same jobs do not deadlock.
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
