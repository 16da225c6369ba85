"""Time zones as spans of one offset each, so that finding ticks is arithmetic on whole numbers."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from mainspring.core.clock import EPOCH, MICROSECOND, SECOND

_DAY: Final = 24 * 3600 * SECOND
_BLOCK: Final = 400 * _DAY  # whose spans are found at a time: some 0.3 ms
_LOOK_BACK: Final = 2 * _DAY  # more than any clock was ever set back
_FIXED: Final = re.compile(r"UTC([+-])(\d\d):([0-5]\d)")


class Span(NamedTuple):
    """While the wall clock of a zone does not jump. Moments and offsets are in microseconds."""

    start: int
    end: int
    """The first moment that is not part of it."""
    offset: int
    """What the wall clock shows more than UTC."""
    passed: int
    """What the wall clock had reached before ``start``: more than it shows then, where the clock
    was set back, so that it shows the time in between once again."""


def zone_name(zone: str | tzinfo) -> str:
    """Return the name of a time zone, by which the functions of this module know it.

    Raises ``TypeError`` or ``ValueError``, naming the argument ``timezone``, for what is none.
    """
    given: Any = zone
    if isinstance(given, timezone):
        return _name_of_fixed(given)
    if isinstance(given, tzinfo):  # zoneinfo's have a key; pytz's, a zone
        given = getattr(given, "key", None) or getattr(given, "zone", None)
        if given is None:
            raise TypeError(f"timezone={zone!r} has no name; use a ZoneInfo('Europe/Berlin').")
    if not isinstance(given, str):
        raise TypeError(
            f"timezone must be a name such as 'Europe/Berlin' or a tzinfo, not {zone!r}."
        )
    try:
        _zone(given)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"timezone={zone!r} is no time zone that this machine knows.") from None
    return given


def _name_of_fixed(zone: timezone) -> str:
    offset = zone.utcoffset(None)
    if not offset:
        return "UTC"
    minutes, rest = divmod(abs(offset), timedelta(minutes=1))
    if rest:
        raise ValueError(f"timezone={zone!r} must be whole minutes off UTC.")
    return f"UTC{'-' if offset < timedelta(0) else '+'}{minutes // 60:02}:{minutes % 60:02}"


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if fixed := _FIXED.fullmatch(name):
        sign, hours, minutes = fixed.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)
    return ZoneInfo(name)


def span_at(name: str, moment: int) -> Span:
    """Return the span that ``moment`` is in; it may end where the next one has the same offset."""
    starts, spans = _spans_of_block(name, moment // _BLOCK)
    return spans[bisect_right(starts, moment) - 1]


@lru_cache(maxsize=1024)
def _spans_of_block(name: str, block: int) -> tuple[Sequence[int], Sequence[Span]]:
    zone, end = _zone(name), (block + 1) * _BLOCK
    start = block * _BLOCK - _LOOK_BACK
    offset = _offset(zone, start)
    passed = start + offset
    spans = []
    for day in range(start, end, _DAY):
        while _offset(zone, day + _DAY) != offset:
            jump = _first_jump(zone, max(day, start), day + _DAY, offset)
            if jump >= end:
                break
            spans.append(Span(start, jump, offset, passed))
            passed = max(passed, jump + offset)
            start, offset = jump, _offset(zone, jump)
    spans.append(Span(start, end, offset, passed))
    return [span.start for span in spans], spans


def _first_jump(zone: tzinfo, before: int, after: int, offset: int) -> int:
    # Clocks jump at whole seconds.
    while after - before > SECOND:
        middle = (before + after) // 2 // SECOND * SECOND
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: tzinfo, moment: int) -> int:
    offset = (EPOCH + moment * MICROSECOND).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // MICROSECOND
