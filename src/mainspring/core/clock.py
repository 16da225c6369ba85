"""Moments are whole microseconds since 1970 inside, and datetimes where users see them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

from mainspring.core.settings import setting

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SECOND: Final = 1_000_000  # in microseconds

# Up to here (the year 2112), a float of seconds still rounds to the exact microsecond, and
# ``fromtimestamp`` takes 0.18 µs where adding a timedelta takes 0.25 µs.
_EXACT_AS_FLOAT: Final = 2**52

_DAY: Final = timedelta(days=1)
FIRST: Final = (datetime.min.replace(tzinfo=UTC) + _DAY - EPOCH) // MICROSECOND
"""The first moment that every time zone can represent: a day after the first datetime."""
LAST: Final = (datetime.max.replace(tzinfo=UTC) - _DAY - EPOCH) // MICROSECOND
"""The last moment that every time zone can represent."""


def now() -> int:
    """Return the present moment in microseconds."""
    return time.time_ns() // 1000


def to_datetime(moment: int) -> datetime:
    """Return ``moment`` (microseconds) as Django would: aware in UTC, naive without ``USE_TZ``.

    A moment that some time zone cannot represent becomes :data:`FIRST` or :data:`LAST`, so that
    showing it never fails.
    """
    if 0 <= moment < _EXACT_AS_FLOAT:
        value = datetime.fromtimestamp(moment / 1e6, UTC)
    else:
        value = EPOCH + min(max(moment, FIRST), LAST) * MICROSECOND
    return value if setting("USE_TZ") else _naive(value)


def now_as_datetime() -> datetime:
    """Return the present moment as :func:`to_datetime` would; 0.3 µs faster than by way of it."""
    value = datetime.now(UTC)
    return value if setting("USE_TZ") else _naive(value)


def to_optional_datetime(moment: int | None) -> datetime | None:
    """Return :func:`to_datetime` of a moment that may be missing."""
    return None if moment is None else to_datetime(moment)


def to_moment(value: datetime) -> int:
    """Return the moment of ``value``; a naive one is read in Django's default time zone."""
    # Nearly all are in UTC; asking timezone.is_naive() would take longer than the arithmetic.
    if value.tzinfo is not UTC and timezone.is_naive(value):
        value = timezone.make_aware(value, timezone.get_default_timezone())
    return (value - EPOCH) // MICROSECOND


def to_optional_moment(value: datetime | None) -> int | None:
    """Return :func:`to_moment` of a datetime that may be missing."""
    return None if value is None else to_moment(value)


def _naive(value: datetime) -> datetime:
    return timezone.make_naive(value, timezone.get_default_timezone())


def in_microseconds(value: float | timedelta) -> int:
    """Return a duration, given in seconds or as a timedelta, in microseconds."""
    if isinstance(value, timedelta):
        return value // MICROSECOND
    return round(value * SECOND)
