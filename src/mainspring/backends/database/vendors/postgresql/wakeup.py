"""Waking workers by NOTIFY: seldom enough to cost nothing, and none missed for long."""

import time
from collections.abc import Callable
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.vendors.polling import Polling
from mainspring.backends.database.vendors.postgresql.listener import Call, Listener
from mainspring.backends.database.vendors.signal_pipe import SignalPipe, wait_for_any
from mainspring.backends.wait_storage import Watch

INTERVAL: Final = 0.01
"""Seconds within which a process notifies only once. Who was woken looks once more after it."""

_MARGIN: Final = 0.002  # seconds more, as the look must come after it
_SLOWEST: Final = 0.25  # seconds between two looks, behind a pooler


class Wakeup:
    """What one process hears and how often it may tell; see docs/explanation/postgresql.md."""

    def __init__(
        self,
        connect: Callable[[], BaseDatabaseWrapper],
        backend: str,
        may_listen: bool | None,
        on_ready_again: Callable[[str], None],
    ) -> None:
        self._work = SignalPipe()
        self._interrupt = SignalPipe()
        self._listener = Listener(connect, backend, self._work.set, may_listen, on_ready_again)
        self._polling = Polling(_SLOWEST)
        self._notified_at = 0.0
        self._look_again_at: float | None = None
        self._is_fruitless = False

    def may_notify(self) -> bool:
        """Whether to notify now, which the caller then does; False soon after the last time."""
        now = time.monotonic()
        if now - self._notified_at < INTERVAL:
            return False
        self._notified_at = now
        return True

    def watch(self, job_id: str, call: Call) -> Watch:
        """See :meth:`Storage.watch`."""
        forget = self._listener.watch(job_id, call)
        return Watch(lambda: self._listener.is_live, forget)

    def found_work(self) -> None:
        """Take note that the last look was worth it."""
        self._is_fruitless = False
        self._polling.found_work()

    def forget(self) -> bool:
        """Take back what this process was told and has not waited for; at first, anything may be.

        True means that it is to look again.
        """
        has_begun = self._listener.serve_worker()
        if self._listener.is_deaf:
            return False
        if not (has_begun or self._work.wait(0)):
            return False
        self._look_again_at = time.monotonic() + INTERVAL + _MARGIN
        return True

    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Wait for a notification; by looking where there can be none."""
        if self._listener.serve_worker():
            # Who notified just before this is silent for a moment.
            self._look_again_at = time.monotonic() + INTERVAL + _MARGIN
        if self._listener.is_deaf:
            return self._polling.wait(timeout, look)
        end = time.monotonic() + timeout
        while self._look_again_at is not None and self._look_again_at <= end:
            if self._waited_until(self._look_again_at):
                return True
            self._look_again_at = None
            if look():
                self._is_fruitless = True
                return True
        return self._waited_until(end)

    def _waited_until(self, end: float) -> bool:
        left = max(end - time.monotonic(), 0)
        if self._is_fruitless and self._look_again_at is not None:
            # Woken for what others took or others are for: not again and again at once.
            return self._interrupt.wait(left)
        heard = wait_for_any((self._work, self._interrupt), left)
        if self._work in heard:
            self._look_again_at = time.monotonic() + INTERVAL + _MARGIN
            self._is_fruitless = True
        return bool(heard)

    def interrupt(self) -> None:
        """End the present or next wait of this process."""
        self._interrupt.set()
        self._polling.interrupt()

    def close(self) -> None:
        """Give up the connection and the pipes."""
        self._listener.close()
        for part in (self._work, self._interrupt, self._polling):
            part.close()
