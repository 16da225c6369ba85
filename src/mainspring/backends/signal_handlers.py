"""The signal handlers of our processes, and what stood there before them."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

type Handler = Callable[[int, FrameType | None], Any] | int | None

_before: dict[int, Any] = {}
_ours: dict[int, Any] = {}

STOP: Final = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGTERM
"""What a supervisor sends to its workers, as a task may do with SIGTERM what it likes."""

FOR_PARENT: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, STOP})
"""What is sent to a supervisor, or by it, and perhaps to all processes of a terminal."""


def pass_over(*_: object) -> None:
    """Handle a signal by doing nothing. Programs that are started do not inherit that."""


def handle(number: int, handler: Handler) -> None:
    """Have a signal handled so, until :func:`give_back` in this process or in one that it forks."""
    previous = signal.signal(number, handler)
    _before.setdefault(number, previous)
    _ours[number] = handler


def handled() -> frozenset[int]:
    """Return the signals that we handle."""
    return frozenset(_ours)


def is_ignored(number: int) -> bool:
    """Return True if a signal was ignored before we handled any, as ``nohup`` has it for SIGHUP."""
    return bool(_before.get(number, signal.getsignal(number)) == signal.SIG_IGN)


def give_back() -> None:
    """Have each signal handled as before; but not those that somebody else has changed since."""
    for number, handler in _ours.items():
        if signal.getsignal(number) == handler and _before[number] is not None:
            signal.signal(number, _before[number])
    _ours.clear()
    _before.clear()
