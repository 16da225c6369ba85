"""The base of the loops, and the thread that turns them."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from mainspring.core import clock
from mainspring.exceptions import StoreUnavailable

logger = logging.getLogger("mainspring")

_AFTER_FAILURE: Final = 1.0  # seconds
_SLACK: Final = 0.03  # seconds: what is due so soon has its turn now, and not a wake-up of its own
_NEVER: Final = float("inf")


class Loop(ABC):
    """Something small to do again and again."""

    @abstractmethod
    def step(self, now: int) -> float:
        """Do it once; return after how many seconds to do it again."""


class Maintenance:
    """Runs the steps of loops, each when it is due, in its own thread. Steps may be repeated.

    The first loop runs a step even if the thread is stopped at once.
    """

    def __init__(
        self,
        loops: Sequence[Loop],
        close: Callable[[], object],
        name: str = "mainspring-maintenance",
    ) -> None:
        """``close`` is called when the thread ends; ``name`` is the thread's name."""
        self._due = dict.fromkeys(loops, 0.0)
        self._changed = threading.Condition()
        self._is_stopping = False
        self._close = close
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def add(self, loop: Loop) -> None:
        """Turn one more loop; before :meth:`start`."""
        self._due[loop] = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hurry(self, loop: Loop) -> None:
        """Have a loop do its step now."""
        with self._changed:
            self._due[loop] = 0.0
            self._changed.notify()

    def stop(self, timeout: float) -> None:
        """Stop after the present step; wait for it up to ``timeout`` seconds."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._turn():
                pass
        finally:
            self._close()

    def _turn(self) -> bool:
        # Return True at the end.
        for loop, due in list(self._due.items()):
            if due <= time.monotonic() + _SLACK:
                self._due[loop] = _NEVER  # before the step, so that a hurry during it counts
                pause = self._safely(loop)
                with self._changed:
                    self._due[loop] = min(time.monotonic() + pause, self._due[loop])
            if self._is_stopping:
                return True
        with self._changed:
            left = min(self._due.values()) - time.monotonic()
            if left > 0 and not self._is_stopping:
                self._changed.wait(left)
            return self._is_stopping

    def _safely(self, loop: Loop) -> float:
        try:
            return loop.step(clock.now())
        except StoreUnavailable:  # the worker itself meets it, too, and says so
            return _AFTER_FAILURE
        except Exception:
            name = type(loop).__name__
            logger.exception("%s failed; it goes on", name, extra={"loop": name})
            return _AFTER_FAILURE
