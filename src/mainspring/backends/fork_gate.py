"""A gate that is closed during a fork, for C code that a fork must not interrupt.

SQLite has internal locks. If a process forks while another thread holds one, the lock stays locked
in the child for good, and the child hangs as soon as it opens a database.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Final

_PATIENCE: Final = 2.0  # seconds that a fork waits for threads inside
_PAUSE: Final = 0.001  # seconds between looks


class Gate:
    """Context manager that any number of threads may enter, also repeatedly. Takes 1 µs.

    A timeout may raise an exception in a thread at any point, also in here. So nothing is locked,
    and if a thread is counted as inside by mistake, at most one fork waits for it.
    """

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}
        """By thread: how many times it has entered."""
        self._forking: list[None] = []
        self._open = self._forking.pop  # C code, in which no exception is raised
        os.register_at_fork(
            before=self._close, after_in_parent=self._open, after_in_child=self._renew
        )

    def __enter__(self) -> None:
        thread = get_ident()
        depth = self._inside.get(thread, 0)
        self._inside[thread] = depth + 1
        # A fork that begins after this sees the thread.
        while self._forking and not depth:
            self._inside.pop(thread, None)
            time.sleep(_PAUSE)
            self._inside[thread] = 1

    def __exit__(self, *_: object) -> None:
        thread = get_ident()
        depth = self._inside.get(thread, 0)
        if depth > 1:
            self._inside[thread] = depth - 1
        else:
            self._inside.pop(thread, None)

    @contextmanager
    def left(self) -> Iterator[None]:
        """Leave the gate during the block, for example for a pause."""
        thread = get_ident()
        depth = self._inside.pop(thread, 0)
        try:
            yield
        finally:
            if depth:
                self.__enter__()
                self._inside[thread] = depth

    # Called around a fork

    def _close(self) -> None:
        self._forking.append(None)
        end = time.monotonic() + _PATIENCE
        while others := self._others():
            if time.monotonic() > end:
                for thread in others:
                    self._inside.pop(thread, None)
                return
            time.sleep(_PAUSE)

    def _others(self) -> set[int]:
        # Threads that have ended do not count.
        return set(self._inside) & sys._current_frames().keys() - {get_ident()}

    def _renew(self) -> None:
        thread = get_ident()
        depth = self._inside.get(thread, 0)
        self._inside.clear()
        self._forking.clear()
        if depth:
            self._inside[thread] = depth
