"""A gate that is closed during a fork, for C code that a fork must not interrupt.

SQLite has internal locks. If a process forks while another thread holds one, the lock stays locked
in the child for good, and the child hangs as soon as it opens a database.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PATIENCE: Final = 2.0  # seconds that a fork waits for threads inside


class _Local(threading.local):
    depth = 0


class Gate:
    """Context manager that any number of threads may enter, also repeatedly. Takes 2 µs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._local = _Local()
        self._inside = 0
        self._forking = 0
        os.register_at_fork(
            before=self._close, after_in_parent=self._open, after_in_child=self._renew
        )

    def __enter__(self) -> None:
        if not self._local.depth:
            with self._changed:
                while self._forking:
                    self._changed.wait()
                self._inside += 1
        self._local.depth += 1

    def __exit__(self, *_: object) -> None:
        self._local.depth -= 1
        if not self._local.depth:
            with self._changed:
                self._inside -= 1
                if self._forking:
                    self._changed.notify_all()

    @contextmanager
    def left(self) -> Iterator[None]:
        """Leave the gate during the block, for example for a pause."""
        depth, self._local.depth = self._local.depth, min(self._local.depth, 1)
        try:
            if depth:
                self.__exit__()
            yield
        finally:
            if depth:
                self.__enter__()
            self._local.depth = depth

    # Called around a fork

    def _close(self) -> None:
        own, end = int(self._local.depth > 0), time.monotonic() + _PATIENCE
        with self._changed:
            self._forking += 1
            while self._inside > own and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _open(self) -> None:
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._forking = int(self._local.depth > 0), 0
