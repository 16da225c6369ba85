"""The store's clock, by which all workers go, whatever their own machines' clocks show."""

import logging
import time
from collections.abc import Callable
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.core import clock
from mainspring.core.clock import SECOND

logger = logging.getLogger("mainspring")

_EVERY: Final = 60 * SECOND
_PATIENCE: Final = SECOND // 5  # for an answer that is exact enough
_WAS_SET: Final = SECOND  # by more than this, a clock was set and does not only drift
_IS_OFF: Final = 5 * SECOND


def _elapsed() -> int:
    return time.monotonic_ns() // 1000


class StoreClock:
    """Asks the store once a minute, and counts on by what nobody can set."""

    def __init__(self, storage: Storage, elapsed: Callable[[], int] = _elapsed) -> None:
        """``elapsed`` returns microseconds since some moment."""
        self._storage = storage
        self._elapsed = elapsed
        self._offset: int | None = None
        self._own_offset = 0
        self._asked_at = 0
        self._is_off = False

    def now(self) -> int:
        """Return the present moment; asks for it the first time."""
        if self._offset is None:
            self.ask()
        return self._elapsed() + (self._offset or 0)

    @property
    def elapsed(self) -> int:
        """What the clock counts on by."""
        return self._elapsed()

    @property
    def age(self) -> int:
        """How long ago the store was asked."""
        return self._elapsed() - self._asked_at

    @property
    def is_due(self) -> bool:
        """Whether to ask again: once a minute, and when this machine's clock was set."""
        own_offset = clock.now() - self._elapsed()
        return self.age >= _EVERY or abs(own_offset - self._own_offset) > _WAS_SET

    def ask(self) -> bool:
        """Ask the store; whether its clock was set since it was asked last."""
        before = self._elapsed()
        moment = self._storage.clock()
        self._asked_at = self._elapsed()
        own = clock.now()
        self._own_offset = own - self._asked_at
        took, known = self._asked_at - before, self._offset
        offset = moment - before - took // 2
        was_set = known is not None and abs(offset - known) > max(_WAS_SET, took)
        if known is None or was_set or took <= _PATIENCE:
            self._offset = offset
        self._compare(own - moment)
        return was_set

    def _compare(self, ahead: int) -> None:
        was_off, self._is_off = self._is_off, abs(ahead) > _IS_OFF
        if self._is_off and not was_off:
            logger.warning(
                "The clock of this machine is %.0f s %s that of %s; schedules go by the latter",
                abs(ahead) / SECOND,
                "ahead of" if ahead > 0 else "behind",
                self._storage.describe(),
                extra={"seconds_ahead": ahead / SECOND},
            )
