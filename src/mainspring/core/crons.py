"""When a schedule fires: at the times of a cron expression, or at an interval."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from cronsim import CronSim, CronSimError

from mainspring.core.clock import SECOND, in_microseconds
from mainspring.core.settings import setting
from mainspring.core.zones import span_at, zone_name

_LAST: Final = 253_000_000_000 * SECOND  # in the year 9987: datetimes end with the year 9999
_EPOCH: Final = datetime(1970, 1, 1)  # times of the wall clock have no zone
_ONE_SECOND: Final = timedelta(seconds=1)
_SHORTEST: Final = SECOND
_LONGEST: Final = 3660 * 24 * 3600 * SECOND

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_TO_SUNDAY: Final = re.compile(r"-SUN\b")
_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Cron:
    """The times of a cron expression, on the wall clock of a time zone.

    Five fields: minute, hour, day of the month, month, day of the week; or six, with seconds first;
    or a nickname such as ``@daily``. Raises ``TypeError`` or ``ValueError``, naming the argument,
    for what is none, and for an expression that can never fire.
    """

    expression: str
    timezone: str | None = None
    """A name or, when it is given, a tzinfo, of which the name is kept; None for ``TIME_ZONE``."""

    def __post_init__(self) -> None:
        text: Any = self.expression
        if not isinstance(text, str):
            raise TypeError(
                f"expression must be a text such as '*/5 * * * *', not {text!r}: for an interval, "
                "use every()."
            )
        object.__setattr__(self, "expression", " ".join(text.split()))
        _parsed(self.expression)
        zone: str | tzinfo | None = self.timezone
        if zone is not None:
            object.__setattr__(self, "timezone", zone_name(zone))

    @property
    def zone(self) -> str:
        """The name of the time zone."""
        return self.timezone or str(setting("TIME_ZONE"))

    def describe(self) -> str:
        """Return the expression."""
        return self.expression

    @property
    def fingerprint(self) -> str:
        """A short text that changes with the times."""
        return _digest("cron", self.expression.upper(), self.zone)

    def next_after(self, moment: int) -> int | None:
        """Return the first tick after ``moment``, both in microseconds; None where there is none.

        Where the hour begins with ``*``, the expression goes by the time that passes: each moment
        at which the wall clock shows one of its times is a tick. Any other goes by the wall clock:
        times that it skips are one tick, at the first moment after them, and of times that it
        shows twice the first one is a tick.
        """
        if moment >= _LAST:
            return None
        times, zone = _parsed(self.expression), self.zone
        span = span_at(zone, moment)
        wall = moment + span.offset
        if not times.by_elapsed:
            wall = max(wall, span.passed - 1)
        while span.start < _LAST:
            found = times.next_after(wall)
            if found is None:
                return None
            if found - span.offset < span.end:
                return found - span.offset
            jump = span.end
            span = span_at(zone, jump)
            shown = jump + span.offset
            if not times.by_elapsed:
                if found < shown:
                    return jump  # it was skipped
                shown = max(shown, span.passed)
            wall = shown - 1
        return None


@dataclass(frozen=True, slots=True)
class Every:
    """An interval: its whole multiples since 1970 in UTC, so that all machines agree.

    Raises ``TypeError`` or ``ValueError`` for one that is not from a second to ten years.
    """

    interval: int
    """Microseconds."""
    anchor: int = 0
    """A moment at which it ticks, in microseconds."""

    def __post_init__(self) -> None:
        given: Any = self.interval
        if not isinstance(given, int) or isinstance(given, bool):
            raise TypeError(f"interval must be whole microseconds, not {given!r}.")
        if not _SHORTEST <= given <= _LONGEST:
            raise ValueError("An interval must be from a second to ten years.")

    @property
    def zone(self) -> str:
        """Nothing: an interval knows no wall clock."""
        return ""

    def describe(self) -> str:
        """Return the interval for people, such as ``every 90 minutes``."""
        seconds = self.interval / SECOND
        for unit, length in _UNITS:
            if seconds % length == 0:
                number = round(seconds / length)
                return f"every {unit}" if number == 1 else f"every {number} {unit}s"
        return f"every {seconds:g} seconds"

    @property
    def fingerprint(self) -> str:
        """A short text that changes with the times."""
        return _digest("every", str(self.interval), str(self.anchor))

    def next_after(self, moment: int) -> int | None:
        """Return the first tick after ``moment``, both in microseconds."""
        return moment + self.interval - (moment - self.anchor) % self.interval


type Timing = Cron | Every


def every_of(value: float | timedelta) -> Every:
    """Return the interval of so many seconds, or of a timedelta. Raises like :class:`Every`."""
    given: Any = value
    if isinstance(given, bool) or not isinstance(given, int | float | timedelta):
        raise TypeError(f"An interval must be a timedelta or a number of seconds, not {given!r}.")
    try:
        interval = in_microseconds(given)
    except (OverflowError, ValueError):  # infinite, or not a number
        raise ValueError("An interval must be from a second to ten years.") from None
    return Every(interval)


class _Times:
    # What the library makes of an expression. It is asked about a wall clock without a zone: with
    # one, it goes by other rules, and misses times where a clock is set back by half an hour.
    __slots__ = ("_parsed", "by_elapsed")

    def __init__(self, expression: str) -> None:
        fields = _NICKNAMES.get(expression.lower(), expression).upper().split()
        if fields and fields[0].startswith("@"):
            raise _no_expression(expression, f"the nicknames are {', '.join(_NICKNAMES)}")
        if len(fields) not in (5, 6):
            raise _no_expression(
                expression,
                "it must have five fields (minute, hour, day of the month, month, day of the "
                "week), or six with seconds first",
            )
        fields[-1] = _TO_SUNDAY.sub("-7", fields[-1])
        self.by_elapsed = fields[-4].startswith("*")
        try:
            self._parsed = dict(vars(CronSim(" ".join(fields), _EPOCH)))
        except (CronSimError, AssertionError) as error:
            raise _no_expression(expression, _problem(fields, error)) from None
        if self.next_after(0) is None:
            raise _no_expression(expression, "it can never fire")

    def next_after(self, wall: int) -> int | None:
        # A copy, as threads may share these: 0.6 µs, where parsing takes 30.
        times = object.__new__(CronSim)
        vars(times).update(self._parsed, dt=_EPOCH + wall // SECOND * _ONE_SECOND)
        try:
            return (next(times) - _EPOCH) // _ONE_SECOND * SECOND
        except (StopIteration, OverflowError):
            return None


def _problem(fields: list[str], error: Exception) -> str:
    text = str(error).lower()
    if text == "bad day-of-month" and not _is_bad_day(fields):
        return "it can never fire: no such month has that day"
    return text or "it makes no sense"


def _is_bad_day(fields: list[str]) -> bool:
    # The library has one error for a day that is none and for one that these months do not have.
    try:
        CronSim(f"0 0 {fields[-3]} * *", _EPOCH)
    except (CronSimError, AssertionError):
        return True
    return False


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> _Times:
    return _Times(expression)


def _no_expression(expression: str, problem: str) -> ValueError:
    return ValueError(f"expression={expression!r} is not a cron expression: {problem}.")


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(errors="surrogatepass"), digest_size=8).hexdigest()
