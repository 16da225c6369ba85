"""Finisher: finishes maps if the worker that settled the last row died before it could."""

import time
from contextlib import suppress
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.exceptions import StoreLocked
from mainspring.maintenance.apart import Apart
from mainspring.maintenance.loop import Loop

_INTERVAL: Final = 5.0  # seconds; the worker that settles a map's last row finishes it at once
_PAUSE: Final = 0.05  # seconds, so that other loops can run
_MOST: Final = 100  # maps looked at in one step
_MOST_ENDED: Final = 10  # maps finished in one step
_LONGEST: Final = 0.5  # seconds after which a step finishes no more maps


class Finisher(Loop):
    """Looks at some maps every five seconds, and at all of them after a worker has died."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._each = Apart("Map")
        self._after = ""
        self._left: list[str] = []  # ids found, but not finished yet
        self._is_hurried = True  # earlier processes may not have reached the last maps

    def look_at_all(self) -> None:
        """Look at all maps soon, in consecutive steps."""
        self._is_hurried = True
        self._after = ""

    def step(self, now: int) -> float:
        """Look at the next maps, and finish some of those that have ended."""
        if not self._left:
            seen = self._storage.look_at_maps(self._after, _MOST)
            self._left, self._after = list(seen.ended), seen.last
            self._is_hurried &= bool(seen.last)
        end = time.monotonic() + _LONGEST
        for _ in range(_MOST_ENDED):
            if not self._left or time.monotonic() > end:
                break
            self._finish(self._left.pop(), now)  # if this fails, the map is found again
        return _PAUSE if self._left or self._is_hurried else _INTERVAL

    def finish_all(self, now: int) -> None:
        """Finish all maps that have ended, however long that takes. May run in any thread."""
        after = None
        while after != "":
            ended, after = self._storage.look_at_maps(after or "", _MOST)
            for map_id in ended:
                self._finish(map_id, now)

    def _finish(self, map_id: str, now: int) -> None:
        with suppress(StoreLocked):  # locked by a caller that adds to it; do not wait again
            self._each.do(map_id, lambda: self._storage.finish_map(map_id, now))
