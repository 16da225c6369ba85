"""Stretches: parts of the index of ready jobs that are skipped because they were found empty.

While a transaction stays open for a long time, a server keeps the index entries of all jobs that
were ready at any time, and each claim would walk over them. This module does no I/O and does not
read the clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

LOWEST: Final = -(2**63)
"""No job is available earlier."""
HIGHEST: Final = 2**63 - 1
"""No job is available later."""
TOP: Final = 2**15 - 1
"""No job has a higher priority."""
BOTTOM: Final = -(2**15)
"""No job has a lower priority."""

CHECK_AFTER: Final = 1.0
"""Seconds until a stretch that was found empty is searched again."""
CHECK_FACTOR: Final = 4.0
"""The age at the next check, as a multiple of the age at this one."""
CHECK_AT_LEAST_EVERY: Final = 300.0  # seconds

_BETWEEN_CHECKS: Final = 0.1  # seconds
_LATE: Final = 60.0  # seconds to search back after a late job was found
_BETWEEN_LOOKS_BACK: Final = 5.0  # seconds, as each may read a million entries
_MOST_ROWS: Final = 20_000  # claimed from the stretches that are searched again at once
_MOST: Final = 128  # stretches of one priority


class Span(NamedTuple):
    """A part of the index that may have ready jobs, both ends included."""

    top: int
    last: int
    """The latest moment, of jobs of priority ``top``."""
    bottom: int
    first: int
    """The earliest moment, of jobs of priority ``bottom``."""

    @property
    def is_level(self) -> bool:
        """True if the span covers a single priority, not a range of priorities."""
        return self.top == self.bottom


EVERYTHING: Final = Span(TOP, HIGHEST, BOTTOM, LOWEST)

type Found = tuple[int, int]
"""A job that was claimed: its priority, and the moment at which it became available."""


@dataclass(slots=True)
class _Stretch:
    """Moments of one priority, both ends included, at which nothing was ready."""

    first: int
    last: int
    since: float
    """When it was first found empty."""
    checked: float
    """When it was last found empty."""
    rows: int
    is_open: bool = False
    """True while it is being searched again, and so not skipped."""

    @property
    def check_at(self) -> float:
        """The time of the next search."""
        age = self.checked - self.since
        return self.checked + max(CHECK_AFTER, min(age * (CHECK_FACTOR - 1), CHECK_AT_LEAST_EVERY))


class Stretches:
    """The stretches that one process skips in one source: one queue, or all queues but some.

    A job that becomes ready at a skipped moment is found when the stretch is searched again: after
    1 second, 4 seconds, 16 seconds and so on, at least every 5 minutes.
    """

    def __init__(self, levels: Iterable[int] = ()) -> None:
        """``levels`` are the known priorities. In others, nothing is skipped until :meth:`know`."""
        self._levels: dict[int, list[_Stretch]] = {level: [] for level in levels}
        self._next_check = self._next_look_back = 0.0

    def spans(self, newest_first: bool, now: float) -> list[Span]:
        """Return the spans that may have ready jobs, in order. ``now``: seconds of any clock."""
        self._open_due(now)
        spans: list[Span] = []
        above = TOP
        for level in sorted(self._levels, reverse=True):
            if level < above:
                spans.append(Span(above, HIGHEST, level + 1, LOWEST))
            gaps = [Span(level, last, level, first) for first, last in self._gaps(level)]
            spans += reversed(gaps) if newest_first else gaps
            above = level - 1
        if above >= BOTTOM:
            spans.append(Span(above, HIGHEST, BOTTOM, LOWEST))
        return spans

    def _gaps(self, level: int) -> Iterator[tuple[int, int]]:
        first = LOWEST
        for stretch in self._levels[level]:
            if stretch.is_open:
                continue
            if first < stretch.first:
                yield first, stretch.first - 1
            first = stretch.last + 1
        yield first, HIGHEST  # future times are never skipped

    def _open_due(self, now: float) -> None:
        # The longest due first, and only as many as can be searched in a few milliseconds.
        if now < self._next_check:
            return
        due = [one for one in self._all() if not one.is_open and one.check_at <= now]
        due.sort(key=attrgetter("check_at"))
        rows = 0
        for one in due:
            one.is_open = True
            self._next_check = now + _BETWEEN_CHECKS
            rows += one.rows
            if rows > _MOST_ROWS:
                break

    def passed(
        self,
        spans: Sequence[Span],
        found: Sequence[Found],
        newest_first: bool,
        are_all: bool,
        until: int,
        now: float,
    ) -> None:
        """Record what a claim has searched: ``spans``, in order.

        ``found`` are the jobs that it took: nothing else is left up to the last of them. With
        ``are_all``, nothing else is left at all. Moments after ``until`` are not skipped, because
        other jobs may still become ready there.
        """
        self.know(level for level, _ in found)
        self._look_back(found, now)
        if are_all:
            end: Found | None = None
        elif not found:
            return
        else:
            end = min(found) if newest_first else min(found, key=lambda one: (one[0], -one[1]))
        for level, first, last in self._walked(spans, end, newest_first):
            rows = sum(one[0] == level and first <= one[1] <= last for one in found)
            self._skip(level, first, min(last, until), now, rows)

    def know(self, levels: Iterable[int]) -> None:
        """Record priorities that jobs have had."""
        for level in levels:
            self._levels.setdefault(level, [])

    def _walked(
        self, spans: Sequence[Span], end: Found | None, newest_first: bool
    ) -> Iterator[tuple[int, int, int]]:
        for span in spans:
            for level in sorted(self._levels, reverse=True):
                if not span.bottom <= level <= span.top:
                    continue
                first, last = (span.first, span.last) if span.is_level else (LOWEST, HIGHEST)
                if end is None or level > end[0]:
                    yield level, first, last
                elif level < end[0]:
                    return
                elif not first <= end[1] <= last:
                    yield level, first, last
                else:
                    yield (level, end[1] + 1, last) if newest_first else (level, first, end[1] - 1)
                    return

    def _look_back(self, found: Sequence[Found], now: float) -> None:
        # If one job came late, others may have, too: for example, if a transaction took long.
        is_late = any(
            one.is_open and one.first <= moment <= one.last
            for level, moment in found
            for one in self._levels[level]
        )
        if is_late and now >= self._next_look_back:
            self._next_look_back = now + _BETWEEN_LOOKS_BACK
            for one in self._all():
                one.is_open = one.is_open or now - one.since < _LATE

    def _skip(self, level: int, first: int, last: int, now: float, rows: int) -> None:
        if first > last:
            return
        left: list[_Stretch] = []
        begin = first
        for one in self._levels[level]:
            if one.last < first or one.first > last:
                left.append(one)
                continue
            if begin < one.first:
                left.append(_Stretch(begin, one.first - 1, now, now, rows))
            begin = one.last + 1
            left += _closed(one, first, last, now) if one.is_open else [one]
        if begin <= last:
            left.append(_Stretch(begin, last, now, now, rows))
        left.sort(key=attrgetter("first"))
        self._levels[level] = _merged(left)

    def reopen(self, level: int | None, first: int, last: int) -> None:
        """Stop skipping an interval, in one priority or in all if None: a job is ready again."""
        for key in self._levels if level is None else {level} & self._levels.keys():
            stretches = [part for one in self._levels[key] for part in _without(one, first, last)]
            self._levels[key] = stretches

    def _all(self) -> Iterable[_Stretch]:
        return (one for stretches in self._levels.values() for one in stretches)


def _closed(one: _Stretch, first: int, last: int, now: float) -> Iterator[_Stretch]:
    # The part that was searched again is skipped again, now at a higher age; the rest stays open.
    if one.first < first:
        yield _Stretch(one.first, first - 1, one.since, one.checked, one.rows, is_open=True)
    begin, end = max(one.first, first), min(one.last, last)
    yield _Stretch(begin, end, one.since, now, one.rows)
    if one.last > last:
        yield _Stretch(last + 1, one.last, one.since, one.checked, one.rows, is_open=True)


def _without(one: _Stretch, first: int, last: int) -> Iterator[_Stretch]:
    if one.last < first or one.first > last:
        yield one
        return
    if one.first < first:
        yield _Stretch(one.first, first - 1, one.since, one.checked, one.rows, one.is_open)
    if one.last > last:
        yield _Stretch(last + 1, one.last, one.since, one.checked, one.rows, one.is_open)


def _merged(stretches: list[_Stretch]) -> list[_Stretch]:
    merged: list[_Stretch] = []
    for one in stretches:
        if merged and _belong_together(merged[-1], one):
            merged[-1] = _joined(merged[-1], one)
        else:
            merged.append(one)
    while len(merged) > _MOST:
        touching = [n for n, (a, b) in enumerate(pairwise(merged)) if _touch(a, b)]
        if not touching:
            merged.remove(min(merged, key=lambda one: one.rows))
            continue
        n = min(touching, key=lambda n: merged[n].rows + merged[n + 1].rows)
        merged[n : n + 2] = [_joined(merged[n], merged[n + 1])]
    return merged


def _touch(one: _Stretch, other: _Stretch) -> bool:
    return one.last + 1 == other.first and one.is_open == other.is_open


def _belong_together(one: _Stretch, other: _Stretch) -> bool:
    # Only if they are of similar age, so that old stretches are not searched as often as new ones.
    if not _touch(one, other) or one.is_open or one.rows + other.rows > _MOST_ROWS:
        return False
    ages = sorted((one.checked - one.since, other.checked - other.since))
    apart = abs(one.since - other.since)
    return apart < CHECK_AFTER / 2 or (ages[0] > 0 and apart < ages[0] / 2)


def _joined(one: _Stretch, other: _Stretch) -> _Stretch:
    return _Stretch(
        one.first,
        other.last,
        min(one.since, other.since),
        min(one.checked, other.checked),
        one.rows + other.rows,
        one.is_open,
    )
