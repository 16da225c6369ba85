"""Identifiers of results: UUIDs of version 7 (RFC 9562), as 32 hexadecimal digits."""

from os import urandom
from typing import Final

_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62
_RANDOM: Final = (1 << 62) - 1


def new_id(moment: int) -> str:
    """Return a new id whose order follows ``moment`` (microseconds).

    48 bits of milliseconds and 12 bits of their fraction (RFC 9562, section 6.2, method 3) come
    first, so ids made in one process sort by time and append to an index; 62 random bits from the
    operating system follow, so an id cannot be guessed.
    """
    milliseconds, rest = divmod(moment, 1000)
    number = (
        milliseconds << 80
        | _VERSION
        | (rest * 4096 // 1000) << 64
        | _VARIANT
        | int.from_bytes(urandom(8)) & _RANDOM
    )
    return f"{number:032x}"


def first_id_at(moment: int) -> str:
    """Return a text that sorts before every id made at ``moment`` or later, and after the rest."""
    return f"{max(moment, 0) // 1000:012x}"
