"""The base class of the loops, and the thread that runs them."""

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
_SLACK: Final = 0.03  # seconds; steps that are due this soon run now, to save a wake-up
_NEVER: Final = float("inf")


class Loop(ABC):
    """A small step that is repeated."""

    @abstractmethod
    def step(self, now: int) -> float:
        """Do the step; return the number of seconds until the next one."""


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
        """Add a loop. Must be called before :meth:`start`."""
        self._due[loop] = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hurry(self, loop: Loop) -> None:
        """Make a loop run its step now."""
        with self._changed:
            self._due[loop] = 0.0
            self._changed.notify()

    def stop(self, timeout: float) -> None:
        """Stop after the current step; wait for it up to ``timeout`` seconds."""
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
        except StoreUnavailable:  # the worker itself meets it, too, and logs it
            return _AFTER_FAILURE
        except Exception:
            name = type(loop).__name__
            logger.exception("%s failed; it goes on", name, extra={"loop": name})
            return _AFTER_FAILURE
