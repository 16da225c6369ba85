"""Heartbeat: renews the lease of one worker process, all its jobs at once."""

import logging
from typing import TYPE_CHECKING

from mainspring.core import clock
from mainspring.core.clock import SECOND
from mainspring.maintenance.loop import Loop

if TYPE_CHECKING:
    from mainspring.runtime.worker import Worker

logger = logging.getLogger("mainspring")


class Heartbeat(Loop):
    """Renews three times a lease."""

    def __init__(self, worker: "Worker", lease: int) -> None:
        self._worker = worker
        self._lease = lease
        self._interval = lease / SECOND / 3
        self._renewed_at: int | None = None
        self._steady_from = 0

    def is_steady(self) -> bool:
        """Whether all workers have been able to renew their leases, as far as this one can tell.

        While nobody can write, or the machine sleeps, all leases end, and nobody is dead.
        """
        return clock.now() >= self._steady_from

    def step(self, now: int) -> float:
        """Renew the lease; say so if others had taken this worker for dead."""
        identity = self._worker.identity
        is_known = self._worker.storage.heartbeat(identity, now)
        now = clock.now()  # it may have had to wait
        if self._renewed_at is not None and now - self._renewed_at > self._lease * 2 // 3:
            self._steady_from = now + self._lease // 3
        self._renewed_at = now
        if not is_known:
            logger.warning(
                "Worker %s had been given up: its lease ended while it was not heard of. It goes "
                "on; what it had claimed is run elsewhere",
                identity.id,
                extra={"worker_id": identity.id},
            )
        return self._interval
