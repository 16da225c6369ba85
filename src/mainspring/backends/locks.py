"""Locks that are always unlocked in a forked child process."""

import os
from typing import Any
from weakref import WeakSet

_renewed: WeakSet[Any] = WeakSet()


def renewed[T](lock: T) -> T:
    """Reset a lock or condition in each forked child process; return the lock.

    Another thread may hold it during the fork. The child does not have that thread, so the lock
    would never be released there.
    """
    _renewed.add(lock)
    return lock


def _renew() -> None:
    for lock in _renewed:
        lock._at_fork_reinit()  # as the standard library does


os.register_at_fork(after_in_child=_renew)
