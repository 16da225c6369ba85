"""Skipping: what the claims of one process pass over, beside a transaction that stays open."""

import threading
import time
from collections.abc import Sequence
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

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Row

SLACK: Final = SECOND // 4
"""Microseconds of the latest past that are never skipped: clocks differ, and commits take time."""

_QUEUE: Final = 4  # in a row


class Source(NamedTuple):
    """Jobs that are claimed as one, through one index."""

    queue: str | None
    """The only queue; None for all but some."""
    leave_out: tuple[str, ...] = ()


class Skipping:
    """What one process skips. While nothing is to be skipped, that is nothing, at no cost."""

    def __init__(self) -> None:
        self.is_on = False
        self._lock = threading.Lock()
        self._stretches: dict[Source, Stretches] = {}
        self._asked: tuple[Source, ...] = ()

    def switch(self, is_on: bool) -> None:
        """Begin or cease to skip; what was known is forgotten."""
        with self._lock:
            self.is_on = is_on
            self._stretches = {}
            self._asked = ()

    def asked(self, sources: Sequence[Source]) -> None:
        """Take note of what the worker claims from, for :meth:`look`."""
        if self.is_on:
            self._asked = tuple(sources)

    def walk(self, sources: Sequence[Source], newest_first: bool) -> "Walk":
        """Return where in these sources, one after the other, something may be ready."""
        if not self.is_on:
            return Walk(self, [(source, [EVERYTHING]) for source in sources], newest_first, None)
        until = clock.now() - SLACK
        with self._lock:
            now = time.monotonic()
            spans = [(one, self._of(one).spans(newest_first, now)) for one in sources]
        return Walk(self, spans, newest_first, until)

    def look(self) -> "tuple[Walk, Walk] | None":
        """Return where to look for work, in single queues and in all but some.

        None if nothing is skipped, or no worker has claimed from anything as yet.
        """
        if not (self.is_on and self._asked):
            return None
        named = [source for source in self._asked if source.queue is not None]
        others = [source for source in self._asked if source.queue is None]
        return self.walk(named, newest_first=True), self.walk(others, newest_first=True)

    def reopen(self, queue: str | None, level: int | None, first: int, last: int) -> None:
        """Skip nothing between two moments, in one queue or any, of one priority or any.

        For what this process makes ready again; others find it when they look through the stretch.
        """
        if not self.is_on:
            return
        with self._lock:
            for source, stretches in self._stretches.items():
                if queue is None or source.queue in {queue, None}:
                    stretches.reopen(level, first, last)

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
            found = self._stretches[source] = Stretches()
        return found


class Walk(NamedTuple):
    """Where one statement is to look, and then, what it has passed."""

    skipping: Skipping
    spans: Sequence[tuple[Source, Sequence[Span]]]
    newest_first: bool
    until: int | None
    """None while nothing is skipped."""

    @property
    def sources(self) -> list[Source]:
        """From where, in order."""
        return [source for source, _ in self.spans]

    def passed(self, rows: "Sequence[Row]", limit: int) -> None:
        """Take note of the rows of a claim of up to ``limit``; they begin as those of a batch."""
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
        """Take note of the rows of a claim of the oldest of one priority, from one source."""
        if self.until is None:
            return
        ((source, spans),) = self.spans
        found = [(row[0], row[1]) for row in rows]
        if found:  # of the others, the claim has not told how far it went
            level = found[0][0]
            spans = [one for one in spans if one.is_level and one.top == level]
            spans = spans or [Span(level, HIGHEST, level, LOWEST)]
        are_all = len(rows) < limit
        self.skipping.passed(source, spans, found, False, are_all, self.until)

    def _is_from(self, row: "Row", source: Source) -> bool:
        return source.queue is None or row[_QUEUE] == source.queue
