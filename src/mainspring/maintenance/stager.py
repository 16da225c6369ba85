"""Stager: makes deferred work ready when it is due, and lets go on what waits for limits."""

from typing import Final

from mainspring.backends.storage import Storage
from mainspring.core import formats
from mainspring.core.admission import Admitted
from mainspring.core.clock import SECOND
from mainspring.maintenance.loop import Loop

_LONGEST: Final = 1.0  # seconds
_SHORTEST: Final = 0.01
_WHERE_OTHERS_ARE: Final = 0.1
_AT_LEAST_EVERY: Final = 60 * SECOND  # as limits of no more use are deleted then


class Stager(Loop):
    """Sleeps until the next deferred job, or the next start that a rate allows, is due.

    A second at most. Jobs are admitted here that no worker admits when it settles: new ones, those
    of which it is the rate that has room again, and those for which another worker has failed to.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._next_admit = self._next_restore = 0

    def step(self, now: int) -> float:
        """Stage and admit what is due."""
        if formats.FORMAT > 1 and now >= self._next_restore:  # no row is set aside for format 1
            self._next_restore = now + _AT_LEAST_EVERY
            self._storage.restore(formats.FORMAT)
        pause = _LONGEST
        staged = self._storage.stage(now)
        if staged.next_at is not None:
            # What is due and was not staged, others have locked: who stages it, or takes long.
            is_locked = not staged.staged and staged.next_at <= now
            least = _WHERE_OTHERS_ARE if is_locked else 0
            pause = min(pause, max((staged.next_at - now) / SECOND, least))
        if staged.has_held or now >= self._next_admit:
            self._next_admit = now + _AT_LEAST_EVERY
            admitted = self._storage.admit(now)
            if admitted.admitted:
                self._storage.wake()
            pause = min(pause, _until_next(admitted, now))
        return pause


def _until_next(admitted: Admitted, now: int) -> float:
    # Where others are as well, who came in vain leaves it to them: or all would come each time.
    if admitted.next_at is None:
        return _LONGEST
    least = _SHORTEST if admitted.admitted else _WHERE_OTHERS_ARE
    return max((admitted.next_at - now) / SECOND, least)
