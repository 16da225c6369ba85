"""Upkeep of a worker process: has it end when its supervisor is gone or its memory has grown."""

import logging
import os
import resource
import sys
from pathlib import Path
from typing import Final

from mainspring.maintenance.loop import Loop
from mainspring.runtime.worker import Worker

logger = logging.getLogger("mainspring")

_INTERVAL: Final = 1.0  # seconds
_STATM: Final = Path("/proc/self/statm")


class Upkeep(Loop):
    """Looks once a second."""

    def __init__(self, worker: Worker, supervisor: int) -> None:
        self._worker = worker
        self._supervisor = supervisor
        self._most = worker.options.max_memory
        self._has_stopped = False

    def step(self, now: int) -> float:  # noqa: ARG002
        """Stop the worker, which loses nothing, where there is reason to."""
        if self._has_stopped:
            return _INTERVAL
        if os.getppid() != self._supervisor:
            self._stop("its supervisor is gone")
        # Not before it has run anything: what one uses from its start, its successor uses, too.
        elif (
            self._most is not None
            and self._worker.holdings.has_worked
            and (used := resident_memory()) > self._most
        ):
            self._stop(f"it uses {used / 2**20:.0f} MB of memory")
        return _INTERVAL

    def _stop(self, reason: str) -> None:
        logger.info(
            "Worker %s stops: %s",
            self._worker.identity.id,
            reason,
            extra={"worker_id": self._worker.identity.id},
        )
        self._has_stopped = True
        self._worker.stop()


def resident_memory() -> int:
    """Return this process's resident memory in bytes; its peak if the system reports only that."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
