"""Heartbeat: renews the lease of one worker process, all its jobs at once."""

import logging
import math
import time
from typing import TYPE_CHECKING

from mainspring.core.clock import SECOND
from mainspring.maintenance.loop import Loop

if TYPE_CHECKING:
    from mainspring.runtime.worker import Worker

logger = logging.getLogger("mainspring")


class Heartbeat(Loop):
    """Renews three times a lease."""

    def __init__(self, worker: "Worker", lease: int) -> None:
        self._worker = worker
        self._interval = lease / SECOND / 3
        self.renewed_at = -math.inf
        """The time of the last renewal of the lease, by ``time.monotonic()``."""

    def is_steady(self) -> bool:
        """Whether this worker could renew its lease when it was to."""
        return time.monotonic() - self.renewed_at <= 2 * self._interval

    def renew(self, now: int) -> bool:
        """Register the worker or renew its lease; False if it was not registered before."""
        is_known = self._worker.storage.heartbeat(self._worker.identity, now)
        self.renewed_at = time.monotonic()
        return is_known

    def step(self, now: int) -> float:
        """Renew the lease; if others had taken this worker for dead, say so and start no more.

        What waits to be started is theirs.
        """
        if not self.renew(now):
            identity = self._worker.identity
            logger.warning(
                "Worker %s had been given up: its lease ended while it was not heard of. It goes "
                "on; what it had claimed is run elsewhere",
                identity.id,
                extra={"worker_id": identity.id},
            )
            self._worker.release_waiting()
        return self._interval
