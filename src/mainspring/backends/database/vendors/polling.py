"""Waiting for work where nobody can be told of it: look, seldom while there is none."""

import time
from collections.abc import Callable
from typing import Final

from mainspring.backends.database.vendors.signal_pipe import SignalPipe, wait_for_any

_FIRST: Final = 0.002  # seconds
_GROWTH: Final = 1.25


class Polling:
    """Looks again after 2 ms at first and less and less often, until something was found."""

    def __init__(self, slowest: float) -> None:
        """``slowest``: seconds between two looks in the end."""
        self._slowest = slowest
        self._pause = _FIRST
        self._interrupt = SignalPipe()
        self._work = SignalPipe()

    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Wait up to ``timeout`` seconds until ``look`` says so, or until told.

        That is by :meth:`interrupt` or :meth:`notify`.
        """
        end = time.monotonic() + timeout
        signals = (self._interrupt, self._work)
        while True:
            left = end - time.monotonic()
            if wait_for_any(signals, max(min(self._pause, left), 0)):
                return True
            if left <= 0:
                return False
            self._pause = min(self._pause * _GROWTH, self._slowest)
            if look():
                return True

    def found_work(self) -> None:
        """Look often again, as more may follow."""
        self._pause = _FIRST

    def notify(self) -> None:
        """Tell this process's own worker that there may be work."""
        self._work.set()

    def forget(self) -> bool:
        """Take back what :meth:`notify` told; whether there was something."""
        return self._work.wait(0)

    def interrupt(self) -> None:
        """End the present or next wait of this process."""
        self._interrupt.set()

    def close(self) -> None:
        """Give up the pipes."""
        self._interrupt.close()
        self._work.close()
