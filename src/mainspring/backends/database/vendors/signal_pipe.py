"""A wait that a thread, a signal handler or a fork can end: a pipe to oneself."""

import os
import select
import threading
from collections.abc import Sequence
from contextlib import suppress

from mainspring.backends.locks import renewed


class SignalPipe:
    """Bytes wait in a pipe until they are taken; setting it takes no lock."""

    def __init__(self) -> None:
        self._lock = renewed(threading.Lock())
        self._pid = os.getpid()
        self._pipe: tuple[int, int] | None = None
        self.is_set = False
        """Also where it was set before there was a pipe."""

    def set(self) -> None:
        """End the present or next :meth:`wait` of this process."""
        self.is_set = True  # first: who finds the byte finds this
        if self._pipe is not None and self._pid == os.getpid():
            with suppress(BlockingIOError):
                os.write(self._pipe[1], b"\0")

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; whether it was set."""
        return bool(wait_for_any((self,), timeout))

    def open(self) -> int:
        """Make the pipe, if need be; return the descriptor that becomes readable."""
        with self._lock:
            if self._pid != os.getpid():  # after a fork, the parent's pipe is not ours
                self._pid = os.getpid()
                self._close()
            if self._pipe is None:
                self._pipe = os.pipe()
                for descriptor in self._pipe:
                    os.set_blocking(descriptor, False)
            return self._pipe[0]

    def take(self) -> None:
        """Take back what was set."""
        self.is_set = False
        with suppress(BlockingIOError):
            os.read(self.open(), 4096)

    def close(self) -> None:
        """Give up the pipe; the next use makes another."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        for descriptor in self._pipe or ():
            os.close(descriptor)
        self._pipe = None


def wait_for_any(pipes: Sequence[SignalPipe], timeout: float) -> list[SignalPipe]:
    """Wait up to ``timeout`` seconds; return, and take back, those that were set."""
    opened = {pipe.open(): pipe for pipe in pipes}
    poll = select.poll()
    for descriptor in opened:
        poll.register(descriptor, select.POLLIN)
    is_any_set = any(pipe.is_set for pipe in pipes)
    ready = {opened[descriptor] for descriptor, _ in poll.poll(0 if is_any_set else timeout * 1000)}
    found = [pipe for pipe in pipes if pipe.is_set or pipe in ready]
    for pipe in found:
        pipe.take()
    return found
