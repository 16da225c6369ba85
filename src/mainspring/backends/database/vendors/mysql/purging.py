"""Decide when claims skip dead entries, because InnoDB cannot purge them."""

import time
from typing import Any, Final

from django.tasks.base import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY

from mainspring.backends.database.skipping import Skipping
from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.mysql.searches import Searches

_LOOK_AFTER: Final = 20_000  # jobs that this process has settled
_LOOK_EVERY: Final = 10.0  # seconds, while claims skip dead entries
_LONG: Final = 0.2  # seconds; a claim that takes longer may be walking over dead entries
_SLOW: Final = 0.002  # seconds
# A process spends at most one part in 100 of its time on measuring, and as much on late jobs.
_SHARE: Final = 100


class Purging:
    """Detects that InnoDB's purge is behind, by timing walks through the index of ready jobs."""

    def __init__(self, backend: str, skipping: Skipping, searches: Searches) -> None:
        self._backend = backend
        self._skipping = skipping
        self._searches = searches
        self._settled = 0
        self._is_suspected = True  # other processes may have left dead entries
        self._next_walk = float("-inf")

    def count(self, settled: int, took: float) -> None:
        """Record the number of settled jobs, and the seconds that settling and claiming took."""
        self._settled += settled
        if took > _LONG:
            self._is_suspected = True

    def suspect(self) -> None:
        """Record that a look for work took long."""
        self._is_suspected = True

    @property
    def may_be_due(self) -> bool:
        """True if it may be worthwhile to query the server."""
        is_wanted = self._settled >= _LOOK_AFTER or self._is_suspected or self._skipping.is_on
        return is_wanted and time.monotonic() >= self._next_walk

    def run(self, cursor: Any) -> bool:
        """Make claims skip dead entries if there are many. Return True if there are."""
        self._settled, self._is_suspected = 0, False
        begun = time.monotonic()
        first, second = self._walk(cursor), self._walk(cursor)
        times = {level: min(first[level], second[level]) for level in second}
        levels = [level for level, time_of in times.items() if time_of > _SLOW]
        if levels:
            self._skipping.begin(levels)
            self._searches.space_out(sum(times.values()) * _SHARE)
        elif self._skipping.is_on:
            self._skipping.cease()
            self._searches.forget()
        took = time.monotonic() - begun
        self._next_walk = begun + max(took * _SHARE, _LOOK_EVERY if self._skipping.is_on else 0)
        return bool(levels)

    def _walk(self, cursor: Any) -> dict[int, float]:
        # Return the seconds for each priority.
        values = (TASK_MIN_PRIORITY, TASK_MAX_PRIORITY, self._backend, self._backend)
        cursor.execute(statement("mysql", "walk"), values)
        return {row[0]: float(row[4]) - float(row[1]) for row in cursor.fetchall()}
