"""Make sure that a process that a task forks does not act as a worker.

These hooks of ``os.fork()`` do nothing in a process without a worker. Programs that a task starts
do not need them, because a program replaces everything that was inherited.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mainspring.backends import signal_handlers
from mainspring.backends.forking import end_child
from mainspring.backends.inherited import disown, hold_seen_connections, let_go
from mainspring.runtime import crashes
from mainspring.runtime.worker import Worker


@dataclass(slots=True, eq=False)
class _Kept:
    worker: Worker
    owns_process: bool


_workers: list[_Kept] = []


class _Forking(threading.local):
    """What the forking thread holds during the fork."""

    mask: set[int] | None = None
    held: list[Any] | None = None


_forking = _Forking()


class _NoWorker:
    """Replaces the board in a child, and ends the child when code for the worker uses it."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        return end_child(sys.exception())


@contextmanager
def kept_out(worker: Worker, owns_process: bool) -> Iterator[None]:
    """Disable a worker that runs in the block in all processes that are forked during the block.

    If the worker owns this process (``owns_process``), the forked processes also get the previous
    signal handlers, and their own connections.
    """
    kept = _Kept(worker, owns_process)
    _workers.append(kept)
    try:
        yield
    finally:
        if kept in _workers:
            _workers.remove(kept)


def _before() -> None:
    if not _workers:
        return
    _forking.held = hold_seen_connections()
    if any(kept.owns_process for kept in _workers):
        # Signals for the child that arrive before it has its own handlers must not reach ours.
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal_handlers.FOR_PARENT)


def _after_in_parent() -> None:
    _forking.held = None
    _unblock()


def _after_in_child() -> None:
    workers, held = list(_workers), _forking.held or ()
    _workers.clear()
    owns_process = any(kept.owns_process for kept in workers)
    runs_task = any(_is_running_task(kept.worker) for kept in workers)
    for kept in workers:
        _leave(kept.worker)
    if owns_process or runs_task:
        disown(*held)
    if owns_process:
        let_go(held)
        crashes.leave_no_traces()
        signal_handlers.give_back()
    _unblock()


def _unblock() -> None:
    mask, _forking.mask = _forking.mask, None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _is_running_task(worker: Worker) -> bool:
    thread = threading.get_ident()
    return any(running.thread == thread for running in list(worker.guard.running.values()))


def _leave(worker: Worker) -> None:
    worker.guard.end_here()
    worker.coroutines.end_here()
    worker.executor.notes.renew()
    worker.board.disown()
    # All code that acts for the worker has this object, and uses it first.
    worker.board.__class__ = _NoWorker  # type: ignore[assignment]


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
