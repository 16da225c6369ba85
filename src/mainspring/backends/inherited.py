"""Inherited: what a child process has from its parent, and must neither use nor close."""

import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from asgiref.sync import SyncToAsync
from django.core.cache import caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Never freed: freeing one may close it, and closing it would end the parent's.
_kept: list[Any] = []

_POOLS: Final = "_connection_pools"
"""Where Django's database wrappers keep their pools: a dictionary by alias, one for each class."""


def close_connections() -> None:
    """Close this thread's database connections and caches, and the process's connection pools.

    Called before a fork in a process that needs none of them meanwhile.
    """
    connections.close_all()
    caches.close_all()
    for pools in _all_pools():
        while pools:
            pools.popitem()[1].close()


def hold_connections() -> list[Any]:
    """Return the open database connections of all threads, to be held during a fork.

    The child has none of the other threads: what only these refer to is freed there at once, and
    some drivers then tell the server that the session is over.
    """
    if threading.active_count() == 1:
        return []
    kinds = {BaseDatabaseWrapper, *_subclasses(BaseDatabaseWrapper)}
    return [one.connection for one in gc.get_objects() if type(one) in kinds]


def disown(*held: Any) -> None:
    """Have this child process use nothing of what its parent has open, ``held`` included.

    Database connections, their pools and caches are kept as they are, and nobody gets them: the
    next use opens others.
    """
    _kept.extend(held)
    for handler in (connections, caches):
        opened = vars(handler)["_connections"]
        for alias in handler:
            if hasattr(opened, alias):
                _kept.append(getattr(opened, alias))
                delattr(opened, alias)
    for pools in _all_pools():
        _kept.append(dict(pools))
        pools.clear()


def forget_threads() -> None:
    """Have this child process start the threads that its parent has, and it has not.

    That is asgiref's thread for sync code, and what multiprocessing does in children of its own.
    """
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None:
        # As multiprocessing does it: the parent's children and files are not for us to end.
        vars(process)["_children"].clear()
        vars(util)["_finalizer_registry"].clear()
        vars(util)["_run_after_forkers"]()


def _all_pools() -> Iterator[dict[str, Any]]:
    for kind in _subclasses(BaseDatabaseWrapper):
        if isinstance(pools := vars(kind).get(_POOLS), dict):
            yield pools


def _subclasses(kind: type) -> Iterator[type]:
    one: type
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)
