"""Vacuum the live table between the runs of autovacuum, which checks it once a minute."""

import time
from typing import Any, Final

from django.tasks.base import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from psycopg import Connection, RawCursor

from mainspring.backends.database.skipping import Skipping
from mainspring.backends.database.statements import statement

_LOOK_AFTER: Final = 20_000  # jobs that this process has settled
_LOOK_EVERY: Final = 10.0  # seconds, while claims skip dead entries
_DEAD: Final = 200_000  # rows, 50 MB; for fewer per minute, autovacuum is fast enough
_DEAD_SHARE: Final = 0.1  # of the live rows, as the indexes of a long backlog take a long time
_IN_VAIN: Final = 60.0  # seconds until the next attempt after a vacuum that could not remove rows
_FEW: Final = 20_000  # dead rows: 3 ms of walking at most
_LONG: Final = 0.05  # seconds; a claim that takes longer may be walking over dead entries
_SLOW: Final = 1_000  # microseconds
_EACH: Final = 0.025  # microseconds for each dead row: 0.01 if it could be removed, otherwise 0.06
_WALKS: Final = 3
_SHARE: Final = 100  # a process spends at most one part in 100 of its time on measuring


class Vacuum:
    """Decides when a process vacuums the live table, and when its claims skip dead entries.

    While a transaction stays open, no vacuum can remove the dead rows that it might see, nor their
    index entries.
    """

    def __init__(
        self, backend: str, skipping: Skipping, dead: int = _DEAD, look_after: int = _LOOK_AFTER
    ) -> None:
        """Tolerate ``dead`` rows, and whatever fewer than ``look_after`` jobs have left."""
        self._backend = backend
        self._skipping = skipping
        self._dead = dead
        self._look_after = look_after
        self._settled = 0
        self._is_suspected = True  # other processes may have left dead rows
        self._left = 0  # dead rows that the last vacuum could not remove
        self._vacuumed_at = self._looked_at = self._next_walk = float("-inf")

    def count(self, settled: int, took: float = 0.0) -> None:
        """Record the number of settled jobs, each of which leaves two dead rows.

        ``took`` is the number of seconds that settling and claiming took.
        """
        self._settled += settled
        if took > _LONG:
            self._is_suspected = True

    def suspect(self) -> None:
        """Record that a look for work took long."""
        self._is_suspected = True

    @property
    def may_be_due(self) -> bool:
        """True if it may be worthwhile to query the server."""
        if self._settled >= self._look_after or self._is_suspected:
            return True
        return self._skipping.is_on and time.monotonic() > self._looked_at + _LOOK_EVERY

    def run(self, raw: Connection[Any]) -> bool:
        """Vacuum the table if due, unless another process does. Return True if it was due."""
        is_suspected = self._is_suspected
        self._settled, self._is_suspected = 0, False
        self._looked_at = time.monotonic()
        with RawCursor(raw) as cursor:
            live, dead = _dead_rows(cursor)
            is_due = self._is_due(live, dead)
            if is_due:
                cursor.execute(statement("postgresql", "vacuum").encode(), prepare=False)
                self._vacuumed_at = time.monotonic()
                _, dead = _dead_rows(cursor)
                self._left = dead
            self._left = min(self._left, dead)
            self._decide(cursor, dead, is_suspected)
        return is_due

    def _is_due(self, live: int, dead: int) -> bool:
        if dead <= live * _DEAD_SHARE + self._dead:
            return False
        # If the last vacuum could not remove the rows, do not retry for only a few more.
        if time.monotonic() > self._vacuumed_at + _IN_VAIN:
            return True
        return dead - self._left > max(self._left, self._dead)

    def _decide(self, cursor: RawCursor[Any], dead: int, is_suspected: bool) -> None:
        skipping, now = self._skipping, time.monotonic()
        if dead < _FEW:
            if skipping.is_on:
                skipping.cease()
        elif now >= self._next_walk and (is_suspected or not skipping.is_on):
            if levels := self._slow_levels(cursor, dead):
                skipping.begin(levels)
            self._next_walk = now + (time.monotonic() - now) * _SHARE

    def _slow_levels(self, cursor: RawCursor[Any], dead: int) -> set[int]:
        # Return the priorities with many entries that cannot be removed. The first walk marks the
        # others, which the next ones pass quickly, unless something else slows them down.
        levels: set[int] | None = None
        for _ in range(_WALKS):
            took = self._walk(cursor)
            slow = {level for level in took if took[level] > _SLOW}
            levels = slow if levels is None else levels & slow
            if sum(took[level] for level in levels) < dead * _EACH:
                return set()
        return levels or set()

    def _walk(self, cursor: RawCursor[Any]) -> dict[int, int]:
        # Return the microseconds for each priority.
        sql = statement("postgresql", "walk").encode()
        values = (self._backend, TASK_MIN_PRIORITY, TASK_MAX_PRIORITY)
        return {row[0]: row[1] for row in cursor.execute(sql, values, prepare=False)}


def _dead_rows(cursor: RawCursor[Any]) -> tuple[int, int]:
    cursor.execute(statement("postgresql", "dead_rows").encode(), prepare=False)
    live, dead = cursor.fetchone() or (0, 0)
    return live, dead
