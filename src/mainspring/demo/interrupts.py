"""Ctrl-C and other signals that ask the demo to stop."""

import signal
import time
from types import FrameType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The demo was asked to stop."""


class Interrupts:
    """Notes signals; the demo looks at safe points, so that nothing is left half made."""

    def __init__(self) -> None:
        self.count = 0
        self.first: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._previous = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, previous in self._previous.items():
            # nohup is honoured. An ignored SIGINT is what shells give to background jobs; whoever
            # sends one nevertheless means it.
            if number != signal.SIGHUP or previous != signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.first is None:
            self.first = signal.Signals(number)

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal came."""
        if self.first is not None:
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Sleep, then :meth:`check`."""
        time.sleep(seconds)
        self.check()

    @property
    def exit_status(self) -> int:
        """What shells report of a command that the signal ended: 130 for Ctrl-C."""
        return 128 + (self.first or signal.SIGINT)
