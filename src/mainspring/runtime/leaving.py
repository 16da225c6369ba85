"""Exit a worker process as any Python process exits, but within the shutdown timeout."""

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from mainspring.backends import log_queues
from mainspring.backends.forking import flush
from mainspring.runtime.options import WorkerOptions

logger = logging.getLogger("mainspring")

_PART: Final = 0.9  # of the time; then the process exits by itself, before it is killed


class Leaving:
    """Waits for threads and calls exit handlers, as the interpreter does at exit."""

    def __init__(self, worker_id: str, seconds: float) -> None:
        """``seconds``: how long all of this may take after the worker was told to stop."""
        self._worker_id = worker_id
        self._seconds = seconds if math.isfinite(seconds) else WorkerOptions().shutdown_timeout
        self._told_at: float | None = None

    def told(self) -> None:
        """Record that the worker was told to stop; a signal handler may call this."""
        self._told_at = self._told_at or time.monotonic()

    def leave(self, say_so: Callable[[], object], status: int) -> None:
        """Call ``say_so``, wait for threads, and call exit handlers.

        If that takes too long, the process exits at once with ``status``.
        """
        spent = 0.0 if self._told_at is None else time.monotonic() - self._told_at
        left = max(self._seconds * _PART - spent, 0.0)
        watch = threading.Timer(left, self._give_up, args=(status,))
        watch.daemon = True
        watch.start()
        say_so()
        # In the same order as the interpreter.
        vars(threading)["_shutdown"]()
        with suppress(Exception):
            log_queues.end()
        vars(atexit)["_run_exitfuncs"]()
        watch.cancel()

    def _give_up(self, status: int) -> None:
        threads = [
            thread.name
            for thread in threading.enumerate()
            if not thread.daemon and thread is not threading.main_thread()
        ]
        logger.warning(
            "Worker %s ends and no longer waits for %s",
            self._worker_id,
            f"the threads {', '.join(threads)}" if threads else "its exit handlers",
            extra={"worker_id": self._worker_id},
        )
        with suppress(Exception):
            log_queues.end()
            flush()
        os._exit(status)
