"""Decide how much of the index a claim searches while claims skip dead entries."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mainspring.backends.database.skipping import Source
from mainspring.core import clock
from mainspring.core.clock import SECOND

_LONGEST_PAUSE: Final = 30.0  # seconds
# Always searched: clocks differ, and commits take time. Few entries are that new.
_SLACK: Final = 2 * SECOND


def now_searched() -> int:
    """Return the moment before which a search that begins now leaves nothing to find."""
    return clock.now() - _SLACK


class Search(NamedTuple):
    """A search for the jobs of one source that became ready at ``since`` or later."""

    source: Source
    since: int
    turn: int
    """How often searches had been reopened when this one began."""
    is_due: bool
    """Whether to search for jobs that became ready earlier, too."""


@dataclass(slots=True)
class _Searched:
    since: int
    """Nothing was ready earlier."""
    due_at: float
    """When jobs that became ready earlier are to be searched for."""


class Searches:
    """Remembers until when each source was found empty, in one process.

    InnoDB compares only live entries with the end of a range, so a search that finds nothing reads
    all dead entries that follow: 0.03 to 0.08 µs each. In the index by time, ready jobs come after
    running ones, so that almost none follow those of the last moments. Looks and claims search only
    that end of it, and from time to time the rest, for jobs that became ready late.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause = 0.0
        self._searched: dict[Source, _Searched] = {}
        self._turn = 0
        self._pending: int | None = None

    def space_out(self, pause: float) -> None:
        """Search for late jobs ``pause`` seconds after the last time, 30 at most."""
        with self._lock:
            self._pause = min(pause, _LONGEST_PAUSE)

    def forget(self) -> None:
        """Search the whole index from now on, until :meth:`space_out`."""
        with self._lock:
            self._pause, self._pending = 0.0, None
            self._searched.clear()
            self._turn += 1

    def begin(self, source: Source) -> Search | None:
        """Return what to search, or None for the whole index."""
        with self._lock:
            found = self._searched.get(source)
            if found is None:
                return None
            return Search(source, found.since, self._turn, time.monotonic() >= found.due_at)

    def begin_whole(self, source: Source, until: int) -> Search:
        """Return the search of a whole index, which :meth:`searched` then records."""
        with self._lock:
            return Search(source, until, self._turn, is_due=True)

    def reached(self, search: Search, since: int) -> None:
        """Record that this search has left nothing that was ready before ``since``."""
        with self._lock:
            found = self._searched.get(search.source)
            if found is not None and search.turn == self._turn:
                found.since = max(found.since, since)

    def searched(self, search: Search, left: Sequence[int]) -> None:
        """Record that all was searched, and nothing left but jobs of these moments."""
        with self._lock:
            if self._pause and search.turn == self._turn:
                since = min(search.since, *left) if left else search.since
                self._searched[search.source] = _Searched(since, time.monotonic() + self._pause)

    def reopen(self, moment: int) -> None:
        """Search again from this moment on, as a job becomes ready there."""
        with self._lock:
            self._reopen(moment)
            self._pending = moment if self._pending is None else min(moment, self._pending)

    def reopen_pending(self) -> None:
        """Do again what :meth:`reopen` did. Call this after the commit."""
        with self._lock:
            if self._pending is not None:  # a search before the commit may have passed it
                self._reopen(self._pending)
                self._pending = None

    def _reopen(self, moment: int) -> None:
        self._turn += 1
        for found in self._searched.values():
            found.since = min(found.since, moment)
