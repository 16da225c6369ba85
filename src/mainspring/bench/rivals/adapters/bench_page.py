"""The memory page, shared by all processes of a run, in which every no-op task counts itself.

Each thread that runs tasks takes a slot of its own, so that counting needs no lock and costs well
below a microsecond: the same for every competitor, and nothing that its own storage would notice.
"""

import fcntl
import mmap
import os
import threading
import time
from pathlib import Path
from typing import Final

MOST_DELAYS: Final = 1000
"""How many probes the page has room for."""
_MOST_SLOTS: Final = 30_000
_SLOT: Final = 2  # words: how many tasks were started, and when the first was
_FIRST_DELAY: Final = 1  # word 0 holds how many slots are taken
_FIRST_SLOT: Final = _FIRST_DELAY + MOST_DELAYS
_BYTES: Final = 8 * (_FIRST_SLOT + _MOST_SLOTS * _SLOT)

_threads = threading.local()


class Page:
    """The page in the file at ``path``, as the one who measures sees it."""

    def __init__(self, path: Path) -> None:
        self._words = _map(path)

    def clear(self) -> None:
        """Forget all counts and delays; no task may be running."""
        for word in range(len(self._words)):
            self._words[word] = 0

    def forget_delays(self) -> None:
        """Forget the delays of probes; the counts stay."""
        for word in range(_FIRST_DELAY, _FIRST_SLOT):
            self._words[word] = 0

    def started(self) -> int:
        """Return how many tasks have started."""
        return sum(self._words[_FIRST_SLOT : self._end() : _SLOT].tolist())

    def first_ns(self) -> int:
        """Return when the first task started, by ``time.monotonic_ns()``; 0 if none has."""
        return min(self._words[_FIRST_SLOT + 1 : self._end() : _SLOT].tolist(), default=0)

    def delays_ns(self, number: int) -> list[int]:
        """Return how long each of the first ``number`` probes took to start; 0: not yet."""
        return self._words[_FIRST_DELAY : _FIRST_DELAY + number].tolist()

    def _end(self) -> int:
        return _FIRST_SLOT + self._words[0] * _SLOT


def note(number: int, stamp: int) -> None:
    """Count the task that calls this; if ``stamp`` is not 0, tell how long it is past that time.

    ``stamp`` is a ``time.monotonic_ns()`` of any process of this machine, ``number`` the probe's.
    """
    now = time.monotonic_ns()
    try:
        words, slot = _threads.slot
    except AttributeError:
        words, slot = _threads.slot = _take_slot(now)
    words[slot] += 1
    if stamp:
        words[_FIRST_DELAY + number] = now - stamp


def _take_slot(now: int) -> "tuple[memoryview[int], int]":
    path = Path(os.environ["MAINSPRING_BENCH_PAGE"])
    words = _map(path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        taken = words[0]
        slot = _FIRST_SLOT + taken * _SLOT
        words[slot + 1] = now
        words[0] = taken + 1
    return words, slot


def _map(path: Path) -> "memoryview[int]":
    with path.open("a+b") as file:
        if os.fstat(file.fileno()).st_size < _BYTES:
            file.truncate(_BYTES)
        return memoryview(mmap.mmap(file.fileno(), _BYTES)).cast("q")


def _forget_slot() -> None:
    global _threads  # noqa: PLW0603 # A process that was forked takes a slot of its own.
    _threads = threading.local()


os.register_at_fork(after_in_child=_forget_slot)
