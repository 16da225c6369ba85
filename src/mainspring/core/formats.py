"""Formats: which stored rows this version can read, and what becomes of the others.

A row carries the number of its format in its options, as ``_format``, and a worker in its id, after
``~``; where there is none, it is 1, so that ordinary rows carry nothing. What is newer than this
version is left to others. See docs/adr/0010-format-numbers.md.
"""

from datetime import UTC, datetime
from typing import Any, Final

from mainspring.core import codec
from mainspring.core.clock import EPOCH, MICROSECOND
from mainspring.exceptions import NewerFormat, Unreadable

FORMAT: Final = 1
"""The format of the rows that this version writes, and the highest one that it reads."""

ASIDE: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // MICROSECOND
"""The moment, in microseconds, that rows set aside wait for: the format that they need later.

No ``run_after`` is as late as that, and no worker of whatever version takes a row before it is due.
"""

_KEY: Final = "_format"
_SIGN: Final = "~"
_MOST_SHOWN: Final = 200  # bytes


def options_in(stored: bytes) -> dict[str, Any]:
    """Return what a row's options say.

    Raises :class:`NewerFormat` where a newer version has written the row, and :class:`Unreadable`
    where they are damaged.
    """
    fields: dict[str, Any] = decoded(stored, "options", dict)
    number = fields.get(_KEY, 1)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise Unreadable(f"The options name no format: {number!r}.")
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
            f"The {what} cannot be read, as they are no {kind.__name__}: {found!r:.99}"
        )
    return found


def shown(stored: Any) -> str:
    """Return the beginning of what cannot be read, for people."""
    return repr(stored[:_MOST_SHOWN] if isinstance(stored, bytes | str) else stored)


def newer(what: str, number: int) -> NewerFormat:
    """Return the error for what has a higher format than this version reads."""
    return NewerFormat(
        f"{what} has the format {number}, and this version reads up to {FORMAT}: it is left to "
        "workers of a newer version.",
        number,
    )


def unknown(what: str) -> NewerFormat:
    """Return the error for what only a newer version can have written, though it does not say."""
    return NewerFormat(f"{what} is unknown to this version: left to a newer one.", FORMAT + 1)


def aside_at(number: int) -> int:
    """Return the moment that a row waits for which needs this format."""
    return ASIDE + min(number, 1_000_000)


def is_aside(available_at: int) -> bool:
    """Return True if a row that is due then was set aside for a newer version."""
    return aside_at(2) <= available_at <= aside_at(1_000_000)


def format_of_worker(worker_id: str) -> int:
    """Return the format that a worker's lease and claims have, by its id; 1 where it has none."""
    _, sign, number = worker_id.rpartition(_SIGN)
    return int(number) if sign and number.isascii() and number.isdigit() else 1
