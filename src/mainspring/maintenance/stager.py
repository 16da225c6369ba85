"""Stager: makes deferred jobs ready when they are due, and admits jobs that wait for limits."""

from typing import Final

from mainspring.backends.storage import Storage
from mainspring.core import formats
from mainspring.core.admission import Admitted
from mainspring.core.clock import SECOND
from mainspring.maintenance.loop import Loop

_LONGEST: Final = 1.0  # seconds
_SHORTEST: Final = 0.01
_WHERE_OTHERS_ARE: Final = 0.1
_AT_LEAST_EVERY: Final = 60 * SECOND  # as unused limits are deleted then


class Stager(Loop):
    """Sleeps until the next deferred job, or the next start that a rate allows, is due.

    It sleeps for a second at most. It admits the jobs that no worker admits when it settles: new
    ones, jobs whose rate has room again, and jobs that another worker failed to admit.
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
            # Others have locked the jobs that are due but were not staged, to stage them or for
            # longer.
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
    # A worker that found nothing to admit waits longer, or all workers would look each time.
    if admitted.next_at is None:
        return _LONGEST
    least = _SHORTEST if admitted.admitted else _WHERE_OTHERS_ARE
    return max((admitted.next_at - now) / SECOND, least)
