"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from threading import Event

_POLL = 0.005  # seconds


def wait_until[T](condition: Callable[[], T], timeout: float = 20, what: str = "") -> T:
    """Return what ``condition`` returns as soon as it is true; fail after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    pause = Event()
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"Not within {timeout} s: {what or condition}")
        pause.wait(_POLL)
    return value
