"""New jobs in COPY's binary format: for rows so large that text, twice as long, takes longer.

As https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS says.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, Final

from mainspring.backends.database.vendors.base import Row

START: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What comes first."""

END: Final = b"\xff\xff"
"""What comes last."""

_LARGE: Final = 2_000  # bytes of arguments
_ARGUMENTS: Final = 8  # which column of a new job they are

_number_of_columns: Final = Struct(">h").pack
_length: Final = Struct(">i").pack
_small: Final = Struct(">ih").pack
_big: Final = Struct(">iq").pack
_NULL: Final = _length(-1)

# By column of a new job: t text or bytes, s smallint, b bigint.
_KINDS: Final = "ttttsbsbtbbttt"


def are_large(rows: Sequence[Row]) -> bool:
    """Whether new jobs have so many bytes of arguments that this format is worth it."""
    return sum(len(row[_ARGUMENTS]) for row in rows) > _LARGE * len(rows)


def binary_rows(rows: Iterable[Row]) -> bytes:
    """Return new jobs as rows of the format."""
    parts: list[bytes] = []
    for row in rows:
        parts.append(_number_of_columns(len(_KINDS)))
        for kind, value in zip(_KINDS, row, strict=True):
            parts += _field(kind, value)
    return b"".join(parts)


def _field(kind: str, value: Any) -> tuple[bytes, ...]:
    if value is None:
        return (_NULL,)
    if kind == "t":
        body = value.encode() if isinstance(value, str) else value
        return _length(len(body)), body
    return ((_small(2, value) if kind == "s" else _big(8, value)),)
