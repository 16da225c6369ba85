"""Inherited: what a child process has from its parent, and must neither use nor close."""

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

# Never freed: freeing one may close it, and closing it would end the parent's.
_kept: list[Any] = []

_POOLS: Final = "_connection_pools"
"""Where Django's database wrappers keep their pools: a dictionary by alias, one for each class."""


_seen: WeakValueDictionary[int, BaseDatabaseWrapper] = WeakValueDictionary()


def _opened(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    _seen[id(connection)] = connection


connection_created.connect(_opened, dispatch_uid="mainspring.inherited")


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


def hold_seen_connections() -> list[Any]:
    """Return those that were opened since this module was imported; takes less time."""
    seen = (reference() for reference in _seen.valuerefs())
    return [one.connection for one in seen if one is not None]


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


def let_go(held: Iterable[Any]) -> None:
    """Have this child process hold no connection to the server open: the parent alone does.

    Else a server takes no notice of the parent's death as long as the child lives, and goes on with
    its transactions and locks.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for one in held:
        with suppress(Exception):  # one that is closed; a driver that tells no descriptor
            descriptor = getattr(one, "_sock", one).fileno()
            # The number stays taken, in case the driver writes to it after all.
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


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


def leave_finalizers() -> None:
    """Leave to the parent what is to be cleaned up when an object or the process ends.

    What this child process makes itself is cleaned up at its own end.
    """
    for finalizer in list(vars(weakref.finalize)["_registry"]):
        finalizer.atexit = False  # it would delete the parent's temporary folders, for one


def forget_exit_handlers() -> None:
    """Have this child process call none of its parent's exit handlers, but those of its own."""
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
