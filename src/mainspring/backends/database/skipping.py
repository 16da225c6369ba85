"""Skip dead index entries in the claims of one process, while a transaction stays open."""

import threading
import time
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from mainspring.backends.database.stretches import (
    EVERYTHING,
    HIGHEST,
    LOWEST,
    Found,
    Span,
    Stretches,
)
from mainspring.core import clock
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Row
    from mainspring.core.jobs import Job, Outcome

SLACK: Final = SECOND // 4
"""The last microseconds, which are never skipped: clocks differ, and commits take time."""

_QUEUE: Final = 4  # index of the queue name in a row
_MOST_TOLD: Final = 100  # ranges in a notification, which holds up to 8,000 bytes
_MOST_RANGES: Final = 16
_WAITING: Final = frozenset({State.READY, State.SCHEDULED})
_LEVEL: Final = 0  # for all deferred jobs, which are staged regardless of priority


class Source(NamedTuple):
    """A set of jobs that are claimed through one index."""

    queue: str | None
    """The only queue; None for all queues but some."""
    leave_out: tuple[str, ...] = ()


class Skipping:
    """The stretches that one process skips. Costs nothing while nothing is skipped."""

    def __init__(self) -> None:
        self.is_on = False
        self._lock = threading.Lock()
        self._stretches: dict[Source, Stretches] = {}
        self._asked: tuple[Source, ...] = ()
        self._untold: list[tuple[int, int]] = []
        self._levels: set[int] = set()
        self._deferred = Stretches()

    def begin(self, levels: Collection[int] = ()) -> None:
        """Start skipping. ``levels`` are the priorities that have much to skip."""
        with self._lock:
            self._levels.update(levels)
            for stretches in self._stretches.values():
                stretches.know(levels)
            self.is_on = True

    def cease(self) -> None:
        """Stop skipping, and forget all stretches."""
        with self._lock:
            self.is_on = False
            self._stretches, self._levels, self._asked, self._untold = {}, set(), (), []
            self._deferred = Stretches()

    def asked(self, sources: Sequence[Source]) -> None:
        """Record the sources that the worker claims from, for :meth:`look`."""
        if self.is_on:
            self._asked = tuple(sources)

    def walk(self, sources: Sequence[Source], newest_first: bool) -> "Walk":
        """Return the spans of these sources, in order, that may have ready jobs."""
        if not self.is_on:
            return Walk(self, [(source, [EVERYTHING]) for source in sources], newest_first, None)
        until = clock.now() - SLACK
        with self._lock:
            now = time.monotonic()
            spans = [(one, self._of(one).spans(newest_first, now)) for one in sources]
        return Walk(self, spans, newest_first, until)

    def look(self) -> "tuple[Walk, Walk] | None":
        """Return the spans to search for work: in single queues, and in all queues but some.

        Return None if nothing is skipped, or no worker has tried to claim since skipping began.
        """
        if not (self.is_on and self._asked):
            return None
        named = [source for source in self._asked if source.queue is not None]
        others = [source for source in self._asked if source.queue is None]
        return self.walk(named, newest_first=True), self.walk(others, newest_first=True)

    def ready_again(self, moments: Iterable[int], are_ends: bool = False) -> None:
        """Stop skipping these moments, because this process makes jobs with these times ready.

        With ``are_ends``, also stop skipping all moments between the first and the last.
        """
        if not self.is_on:
            return
        recent = clock.now() - SLACK  # later moments are never skipped
        found = sorted({moment for moment in moments if moment <= recent or are_ends})
        if are_ends:
            ranges = [(found[0], found[-1])] if found[0] <= recent else []
        else:
            ranges = _ranges(found)
        if ranges:
            self._reopen(ranges)
            with self._lock:
                self._untold += ranges

    def untold(self) -> str:
        """Return the ranges of :meth:`ready_again` as a message to other processes.

        Call this after the commit. Return an empty string if there is nothing to report.
        """
        with self._lock:
            ranges, self._untold = self._untold, []
        self._reopen(ranges)  # a search before the commit may have found them empty
        return ";".join(f"{first},{last}" for first, last in ranges[:_MOST_TOLD])

    def heard(self, told: str) -> None:
        """Reopen the stretches that another process has reported."""
        if self.is_on:
            pairs = (part.split(",") for part in told.split(";"))
            self._reopen([(int(first), int(last)) for first, last in pairs])

    def _reopen(self, ranges: Sequence[tuple[int, int]]) -> None:
        with self._lock:
            for stretches in (*self._stretches.values(), self._deferred):
                for first, last in ranges:
                    stretches.reopen(None, first, last)

    def due_from(self) -> int:
        """Return the time from which to search for deferred jobs."""
        if not self.is_on:
            return LOWEST
        with self._lock:
            self._deferred.know([_LEVEL])
            spans = self._deferred.spans(newest_first=False, now=time.monotonic())
        return min(span.first for span in spans if span.is_level and span.top == _LEVEL)

    def none_due(self, due_from: int, next_at: int | None) -> None:
        """Record that no job is due from ``due_from`` until before ``next_at``, or ever if None."""
        if not self.is_on:
            return
        spans, found = [Span(_LEVEL, HIGHEST, _LEVEL, due_from)], [(_LEVEL, next_at or 0)]
        until, is_none = clock.now() - SLACK, next_at is None
        with self._lock:
            now = time.monotonic()
            self._deferred.passed(spans, [] if is_none else found, False, is_none, until, now)

    def passed(
        self,
        source: Source,
        spans: Sequence[Span],
        found: Sequence[Found],
        newest_first: bool,
        are_all: bool,
        until: int,
    ) -> None:
        """See :meth:`Stretches.passed`."""
        with self._lock:
            if self.is_on:
                now = time.monotonic()
                self._of(source).passed(spans, found, newest_first, are_all, until, now)

    def _of(self, source: Source) -> Stretches:
        found = self._stretches.get(source)
        if found is None:
            found = self._stretches[source] = Stretches(self._levels)
        return found


class Walk(NamedTuple):
    """The spans that one statement searches. Records afterwards which parts were empty."""

    skipping: Skipping
    spans: Sequence[tuple[Source, Sequence[Span]]]
    newest_first: bool
    until: int | None
    """None while nothing is skipped."""

    @property
    def sources(self) -> list[Source]:
        """The sources to search, in order."""
        return [source for source, _ in self.spans]

    def passed(self, rows: "Sequence[Row]", limit: int) -> None:
        """Record the rows of a claim of up to ``limit`` jobs, which begin like those of a batch."""
        if self.until is None:
            return
        for number, (source, spans) in enumerate(self.spans):
            found = [(row[0], row[1]) for row in rows if self._is_from(row, source)]
            later = {one.queue for one, _ in self.spans[number + 1 :]}
            are_all = len(rows) < limit or any(row[_QUEUE] in later for row in rows)
            if not (found or are_all):
                return
            self.skipping.passed(source, spans, found, self.newest_first, are_all, self.until)

    def passed_longest(self, rows: "Sequence[Row]", limit: int) -> None:
        """Record the rows of a claim of the oldest jobs of one priority, from a single source."""
        if self.until is None:
            return
        if not rows:  # all jobs of that priority may be locked; nothing is known about the others
            return
        ((source, spans),) = self.spans
        found = [(row[0], row[1]) for row in rows]
        level = found[0][0]  # it is unknown how far the claim searched other priorities
        spans = [one for one in spans if one.is_level and one.top == level]
        spans = spans or [Span(level, HIGHEST, level, LOWEST)]
        are_all = len(rows) < limit
        self.skipping.passed(source, spans, found, False, are_all, self.until)

    def _is_from(self, row: "Row", source: Source) -> bool:
        return source.queue is None or row[_QUEUE] == source.queue


def _ranges(moments: Sequence[int]) -> list[tuple[int, int]]:
    # Only a few ranges, so that stretches are not split too often: the widest gaps stay skipped.
    if not moments:
        return []
    gaps = sorted(range(1, len(moments)), key=lambda n: moments[n] - moments[n - 1])
    cuts = [0, *sorted(gaps[-(_MOST_RANGES - 1) :]), len(moments)]
    return [(moments[a], moments[b - 1]) for a, b in pairwise(cuts)]


def ready_moments(outcomes: "Iterable[Outcome | Job]") -> list[int]:
    """Return the times at which the jobs that are ready or deferred again become available."""
    return [one.available_at for one in outcomes if one.state in _WAITING]
