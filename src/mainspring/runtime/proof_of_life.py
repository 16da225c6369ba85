"""Proof of life: a file lock that a process holds for exactly as long as it lives.

A POSIX record lock ends when the process closes any descriptor of the file, for example in a task
that reads all files of the temporary folder. Therefore the lock belongs to an open file
description. On Linux it also conflicts with POSIX record locks, which older versions hold;
elsewhere it is that of ``flock()``. Children that a task forks close it, because they would hold it
too.
"""

import fcntl
import os
import struct
import sys
from pathlib import Path
from typing import Final

# Kind, from where it counts, first byte, length (0 for all), process: struct flock of Linux, which
# has 64 bits for offsets with these commands.
_LOCK: Final = struct.Struct("@hhqqi4x")
_WHOLE: Final = (os.SEEK_SET, 0, 0, 0)

_held: set[int] = set()


def hold(path: Path) -> int:
    """Lock a file for as long as this process lives; return the descriptor of the lock.

    Raises ``OSError`` if another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    _held.add(descriptor)
    return descriptor


def let_go(descriptor: int) -> None:
    """Release the lock of :func:`hold`. Does nothing in a child process, which does not hold it."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def is_over(descriptor: int) -> bool:
    """Return True if no process held the lock; this one then holds it until the file is closed."""
    try:
        _lock(descriptor)
    except OSError:
        return False
    return True


def _lock(descriptor: int) -> None:
    if sys.platform == "linux":
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, *_WHOLE))
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _forked() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forked)
