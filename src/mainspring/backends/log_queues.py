"""Logging's queue listeners in a child process, which has none of its parent's threads."""

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
    """Have listeners of the parent run in this child process, too, each with what is queued here.

    What was queued at the fork, the parent's own listener writes; as well all of a queue of
    multiprocessing, which the parent hears.
    """
    _restarted.clear()
    for listener in listeners:
        if _empty(listener.queue):
            vars(listener)["_thread"] = None
            listener.start()
            _restarted.append(listener)


def _empty(queued: Any) -> bool:
    # In place: handlers have it. Another thread may have held its lock at the fork.
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
    """Have what is queued in this child process written, and end the threads; may be repeated."""
    for listener in _restarted:
        if vars(listener)["_thread"] is not None:
            listener.stop()
        with suppress(queue.Empty):  # what was logged since
            while (record := listener.dequeue(False)) is not None:
                listener.handle(record)
