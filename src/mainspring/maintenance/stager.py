"""Stager: makes deferred work ready when it is due."""

from typing import Final

from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.maintenance.loop import Loop

_LONGEST: Final = 1.0  # seconds


class Stager(Loop):
    """Sleeps until the next deferred job is due, a second at most."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def step(self, now: int) -> float:
        """Stage what is due."""
        next_at = self._storage.stage(now).next_at
        return _LONGEST if next_at is None else min(max((next_at - now) / SECOND, 0), _LONGEST)
