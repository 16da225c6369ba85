"""The signal handlers of our processes, and what stood there before them."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

type Handler = Callable[[int, FrameType | None], Any] | int | None

_before: dict[int, Any] = {}
_ours: dict[int, Any] = {}

FOR_PARENT: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What is sent to a supervisor, and perhaps to all processes of a terminal."""


def handle(number: int, handler: Handler) -> None:
    """Have a signal handled so, until :func:`give_back` in this process or in one that it forks."""
    previous = signal.signal(number, handler)
    _before.setdefault(number, previous)
    _ours[number] = handler


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
