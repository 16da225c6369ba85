"""Finisher: goes on with maps whose last row was settled by a worker that died then."""

from typing import Final

from mainspring.backends.storage import Storage
from mainspring.maintenance.loop import Loop

_INTERVAL: Final = 5.0  # seconds: who settles the last row of a map sees to its end at once


class Finisher(Loop):
    """Looks every five seconds, as nothing else tells of such a map."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def step(self, now: int) -> float:
        """Look at all maps that are not at their end."""
        for map_id in self._storage.unfinished_maps():
            self._storage.finish_map(map_id, now)
        return _INTERVAL
