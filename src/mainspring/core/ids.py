"""Identifiers of results: UUIDs of version 7 (RFC 9562), as 32 hexadecimal digits."""

import os
import re
from struct import Struct
from typing import Final

_VERSION: Final = 7 << 12
_VARIANT: Final = 2 << 62
_RANDOM: Final = (1 << 62) - 1

_is_id: Final = re.compile("[0-9a-f]{32}").fullmatch

_halves: Final = Struct(">QQ").pack

# The operating system's random numbers, 128 at a time: 0.35 µs an id instead of 1 µs. A list's
# pop() gives each number to one thread only, and no number outlives a fork.
_numbers: Final = Struct("128Q")
_pool: Final[list[int]] = []
os.register_at_fork(after_in_child=_pool.clear)


def new_id(moment: int) -> str:
    """Return a new id whose order follows ``moment`` (microseconds).

    48 bits of milliseconds and 12 bits of their fraction (RFC 9562, section 6.2, method 3) come
    first, so ids made in one process sort by time and append to an index; 62 random bits from the
    operating system follow, so an id cannot be guessed.
    """
    try:
        random = _pool.pop()
    except IndexError:
        random, *more = _numbers.unpack(os.urandom(_numbers.size))
        _pool.extend(more)
    milliseconds, rest = divmod(moment, 1000)
    return _halves(
        milliseconds << 16 | _VERSION | rest * 4096 // 1000, _VARIANT | random & _RANDOM
    ).hex()


def is_id(text: str) -> bool:
    """Return True if ``text`` has the form of an id. Stores treat other strings differently."""
    return _is_id(text) is not None


def first_id_at(moment: int) -> str:
    """Return a text that sorts before every id of ``moment``'s millisecond or a later one.

    And after every id of an earlier millisecond.
    """
    return f"{max(moment, 0) // 1000:012x}"
