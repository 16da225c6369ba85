"""The signal handlers of our processes, and the handlers that they replaced."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

type Handler = Callable[[int, FrameType | None], Any] | int | None

_before: dict[int, Any] = {}
_ours: dict[int, Any] = {}

STOP: Final = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGTERM
"""Signal by which a supervisor stops its workers, because a task may change SIGTERM's handler."""

FOR_PARENT: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, STOP})
"""Signals that a supervisor receives or sends. A terminal may send them to all its processes."""


def pass_over(*_: object) -> None:
    """Do nothing with a signal. Unlike SIG_IGN, started programs do not inherit this."""


def handle(number: int, handler: Handler) -> None:
    """Set a signal handler, until :func:`give_back` in this process or in a forked child."""
    previous = signal.signal(number, handler)
    _before.setdefault(number, previous)
    _ours[number] = handler


def handled() -> frozenset[int]:
    """Return the signals that we handle."""
    return frozenset(_ours)


def is_ignored(number: int) -> bool:
    """Return True if a signal was ignored before we set handlers, as SIGHUP is under ``nohup``."""
    return bool(_before.get(number, signal.getsignal(number)) == signal.SIG_IGN)


def give_back() -> None:
    """Restore the previous handlers, except where other code has changed ours since."""
    for number, handler in _ours.items():
        if signal.getsignal(number) == handler and _before[number] is not None:
            signal.signal(number, _before[number])
    _ours.clear()
    _before.clear()
