"""Pauses: has a worker take nothing from queues that are paused."""

from collections.abc import Callable
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.maintenance.loop import Loop

_INTERVAL: Final = 0.5  # seconds: a pause holds from within a second


class Pauses(Loop):
    """Looks twice a second which queues are paused."""

    def __init__(self, storage: Storage, resumed: Callable[[], object]) -> None:
        """``resumed`` is called when a queue is paused no more."""
        self._storage = storage
        self._resumed = resumed
        self._paused: frozenset[str] = frozenset()

    def step(self, now: int) -> float:  # noqa: ARG002 # the same for all loops
        """Look, and have claims leave those queues out."""
        before, self._paused = self._paused, self._storage.find_paused()
        if before - self._paused:
            self._resumed()
        return _INTERVAL
