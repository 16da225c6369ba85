"""Resources that a child process inherits, and must neither use nor close."""

import atexit
import gc
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from asgiref.sync import SyncToAsync
from django.core.cache import caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

# Never freed: that could close a resource of the parent.
_kept: list[Any] = []

_POOLS: Final = "_connection_pools"
"""Attribute of Django's database wrapper classes: a dictionary of pools by alias."""


_seen: WeakValueDictionary[int, BaseDatabaseWrapper] = WeakValueDictionary()


def _opened(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    _seen[id(connection)] = connection


connection_created.connect(_opened, dispatch_uid="mainspring.inherited")


def close_connections() -> None:
    """Close this thread's database connections and caches, and the process's connection pools.

    Call this before a fork in a process that does not use them meanwhile.
    """
    connections.close_all()
    caches.close_all()
    for pools in _all_pools():
        while pools:
            pools.popitem()[1].close()


def hold_connections() -> list[Any]:
    """Return the open database connections of all threads, to be held during a fork.

    The child has none of the other threads. Connections that only those threads refer to are freed
    there at once, and some drivers then tell the server to end the session.
    """
    if threading.active_count() == 1:
        return []
    kinds = {BaseDatabaseWrapper, *_subclasses(BaseDatabaseWrapper)}
    return [one.connection for one in gc.get_objects() if type(one) in kinds]


def hold_seen_connections() -> list[Any]:
    """Return the connections opened since this module was imported. Faster than a full search."""
    seen = (reference() for reference in _seen.valuerefs())
    return [one.connection for one in seen if one is not None]


def disown(*held: Any) -> None:
    """Detach this child process from its parent's open resources, ``held`` included.

    Database connections, pools and caches are neither closed nor used: the next use opens new
    ones.
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


def let_go(held: Iterable[Any]) -> None:
    """Close the inherited connections in this child only; the parent keeps them.

    Otherwise the server does not notice the parent's death while the child lives, and keeps the
    parent's transactions and locks.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for one in held:
        with suppress(Exception):  # closed, or the driver exposes no descriptor
            descriptor = getattr(one, "_sock", one).fileno()
            # Keep the descriptor number in use, in case the driver still writes to it.
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def forget_threads() -> None:
    """Reset the state of threads that exist in the parent only.

    Resets asgiref's thread for sync code, and whatever multiprocessing resets in its children.
    """
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None:
        # As in multiprocessing itself: do not end the parent's children or close its files.
        vars(process)["_children"].clear()
        vars(util)["_finalizer_registry"].clear()
        vars(util)["_run_after_forkers"]()


def leave_finalizers() -> None:
    """Leave the finalizers of inherited objects to the parent.

    Objects that this child creates are cleaned up when it exits.
    """
    for finalizer in list(vars(weakref.finalize)["_registry"]):
        finalizer.atexit = False  # it could delete the parent's temporary folders


def forget_exit_handlers() -> None:
    """Remove the exit handlers that this child process inherited from its parent."""
    vars(atexit)["_clear"]()
    setattr(weakref.finalize, "_registered_with_atexit", False)  # noqa: B010 # Python's own
    if (util := sys.modules.get("multiprocessing.util")) is not None:
        atexit.register(vars(util)["_exit_function"])


def _all_pools() -> Iterator[dict[str, Any]]:
    for kind in _subclasses(BaseDatabaseWrapper):
        if isinstance(pools := vars(kind).get(_POOLS), dict):
            yield pools


def _subclasses(kind: type) -> Iterator[type]:
    one: type
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)
