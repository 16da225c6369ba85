"""Restart logging's queue listeners in a child process, which has none of its parent's threads."""

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import QueueListener
from typing import Any

_restarted: list[QueueListener] = []


def running_listeners() -> list[QueueListener]:
    """Return the listeners whose threads run in this process."""
    targets = (getattr(thread, "_target", None) for thread in threading.enumerate())
    listeners = (getattr(target, "__self__", None) for target in targets)
    return [one for one in listeners if isinstance(one, QueueListener)]


def restart(listeners: Sequence[QueueListener]) -> None:
    """Restart the parent's listeners in this child process.

    The parent's listener writes the records that were queued at the fork, and all records of a
    multiprocessing queue, which the parent also receives.
    """
    _restarted.clear()
    for listener in listeners:
        if _empty(listener.queue):
            vars(listener)["_thread"] = None
            listener.start()
            _restarted.append(listener)


def _empty(queued: Any) -> bool:
    # In place, because handlers refer to it. Another thread may have held its lock at the fork.
    if isinstance(queued, queue.Queue):
        queue.Queue.__init__(queued, queued.maxsize)
        return True
    if isinstance(queued, queue.SimpleQueue):
        with suppress(queue.Empty):
            while True:
                queued.get_nowait()
        return True
    return False


def end() -> None:
    """Write the records queued in this child process, and stop the threads. May be called again."""
    for listener in _restarted:
        if vars(listener)["_thread"] is not None:
            listener.stop()
        with suppress(queue.Empty):  # records logged since
            while (record := listener.dequeue(False)) is not None:
                listener.handle(record)
