"""Locks that a process forked by a task, or by anybody else, does not find locked."""

import os
from typing import Any
from weakref import WeakSet

_renewed: WeakSet[Any] = WeakSet()


def renewed[T](lock: T) -> T:
    """Have a lock, or a condition, be as new in each child process; return it.

    Another thread may hold it at the moment of the fork. The child has no such thread, and nobody
    would ever release it there.
    """
    _renewed.add(lock)
    return lock


def _renew() -> None:
    for lock in _renewed:
        lock._at_fork_reinit()  # as Python's own modules do it


os.register_at_fork(after_in_child=_renew)
