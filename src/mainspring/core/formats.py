"""Format numbers: decide which stored rows this version can read.

A row carries its format number in its options, as ``_format``, and a worker in its id, after ``~``.
No number means 1, so that ordinary rows carry nothing. Rows in a newer format are left to workers
of a newer version. See docs/adr/0010-format-numbers.md.
"""

from datetime import UTC, datetime
from typing import Any, Final

from mainspring.core import codec
from mainspring.core.clock import EPOCH, MICROSECOND
from mainspring.exceptions import NewerFormat, Unreadable

FORMAT: Final = 1
"""The format that this version writes, and the highest one that it reads."""

ASIDE: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // MICROSECOND
"""The due time of rows set aside, in microseconds, to which their format number is added.

No ``run_after`` can be as late, and no version takes a row before it is due.
"""

_KEY: Final = "_format"
_SIGN: Final = "~"
_MOST_SHOWN: Final = 200  # bytes


def options_in(stored: bytes) -> dict[str, Any]:
    """Return the fields of a row's options.

    Raises :class:`NewerFormat` if a newer version has written the row, and :class:`Unreadable` if
    the options are damaged.
    """
    fields: dict[str, Any] = decoded(stored, "options", dict)
    number = fields.get(_KEY, 1)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise Unreadable(f"The format number in the options is invalid: {number!r}.")
    if number > FORMAT:
        raise newer("The row", number)
    return fields


def decoded(stored: bytes, what: str, kind: type) -> Any:
    """Return stored JSON. Raises :class:`Unreadable`, naming ``what``, unless it is a ``kind``."""
    try:
        found = codec.decode(stored)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable(f"The {what} cannot be read: {error}: {shown(stored)}") from error
    if not isinstance(found, kind):
        raise Unreadable(
            f"The {what} cannot be read: expected a {kind.__name__}, not {found!r:.99}"
        )
    return found


def shown(stored: Any) -> str:
    """Return the start of an unreadable value, for error messages."""
    return repr(stored[:_MOST_SHOWN] if isinstance(stored, bytes | str) else stored)


def newer(what: str, number: int) -> NewerFormat:
    """Return the error for data in a format that this version cannot read."""
    return NewerFormat(
        f"{what} has format {number}, but this version reads up to {FORMAT}: it is left to "
        "workers of a newer version.",
        number,
    )


def unknown(what: str) -> NewerFormat:
    """Return the error for a value that only a newer version can have written."""
    return NewerFormat(f"{what} is unknown to this version: it is left to a newer one.", FORMAT + 1)


def aside_at(number: int) -> int:
    """Return the due time of a row set aside for this format."""
    return ASIDE + min(number, 1_000_000)


def is_aside(available_at: int) -> bool:
    """Return True if this due time marks a row set aside for a newer version."""
    return aside_at(2) <= available_at <= aside_at(1_000_000)


def format_of_worker(worker_id: str) -> int:
    """Return the format number in a worker's id; 1 if there is none."""
    _, sign, number = worker_id.rpartition(_SIGN)
    return int(number) if sign and number.isascii() and number.isdigit() else 1
