"""Pruner: deletes results past their retention."""

import logging
import random
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.maintenance.loop import Loop

logger = logging.getLogger("mainspring")

_STEP: Final = 500  # results looked at; some milliseconds of work
_PAUSE: Final = 0.05  # seconds between steps
_REST: Final = 60.0  # seconds after all were looked at, at most


class Pruner(Loop):
    """Looks at the oldest results, a few at a time, and lets others write in between."""

    def __init__(self, storage: Storage, retention: int | None) -> None:
        self._storage = storage
        self._retention = retention
        # Where results are kept for a short time only, they are not to stay for twice of it.
        self._rest = _REST if retention is None else min(max(retention / SECOND / 2, 1.0), _REST)
        self._deleted = 0

    def step(self, now: int) -> float:
        """Delete some results that finished longer ago than the retention (microseconds)."""
        if self._retention is None:
            return self._rest
        pruned = self._storage.prune(now - self._retention, _STEP)
        self._deleted += pruned.deleted
        if not pruned.is_done:
            return _PAUSE
        if self._deleted:
            logger.info("Pruned %d results", self._deleted, extra={"pruned": self._deleted})
            self._deleted = 0
        return self._rest * random.uniform(0.5, 1.5)  # noqa: S311 # so that workers do not all come at once
