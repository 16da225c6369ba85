"""Heartbeat: renews the lease of one worker process, all its jobs at once."""

import logging
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

    def step(self, now: int) -> float:
        """Renew the lease; say so if others had taken this worker for dead."""
        identity = self._worker.identity
        if not self._worker.storage.heartbeat(identity, now):
            logger.warning(
                "Worker %s had been given up: its lease ended while it was not heard of. It goes "
                "on; what it had claimed is run elsewhere",
                identity.id,
                extra={"worker_id": identity.id},
            )
        return self._interval
