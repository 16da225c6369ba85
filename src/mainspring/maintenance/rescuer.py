"""Rescuer: recovers work whose worker died."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from mainspring.backends.storage import LostWorker, Rescued, Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from mainspring.maintenance.loop import Loop

logger = logging.getLogger("mainspring")

_INTERVAL: Final = 1.0  # seconds between looks for the dead of this machine
_LEASES: Final = 5 * SECOND  # between looks for leases that ended, at most


class Rescuer(Loop):
    """Looks every second for dead workers of this machine, and less often for ended leases."""

    def __init__(
        self,
        storage: Storage,
        find_lost: Callable[[], Sequence[LostWorker]],
        forget: Callable[[LostWorker], None],
        is_steady: Callable[[], bool],
        lease: int,
    ) -> None:
        """``is_steady`` tells whether an ended lease means that its worker is gone."""
        self._look_every = min(lease // 3, _LEASES)
        self._storage = storage
        self._find_lost = find_lost
        self._forget = forget
        self._is_steady = is_steady
        self._next_leases = 0

    def step(self, now: int) -> float:
        """Rescue what there is to rescue."""
        if not self._is_steady():
            return _INTERVAL
        lost = self._find_lost()
        if lost or now >= self._next_leases:
            self._next_leases = now + self._look_every
            for rescued in self._storage.rescue(now, lost):
                log_rescued(rescued)
            for worker in lost:
                self._forget(worker)
        return _INTERVAL


def log_rescued(rescued: Rescued) -> None:
    """Say what became of a job whose worker died."""
    if not rescued.was_started:
        what = "was only claimed and is ready again"
    elif rescued.state == State.READY:
        what = "was running and is ready again"
    else:
        what = "was running, has crashed too many workers, and failed"
    logger.warning(
        "Task id=%s path=%s %s: worker %s is gone",
        rescued.job_id,
        rescued.task_path,
        what,
        rescued.worker_id,
        extra={
            "task_id": rescued.job_id,
            "task_path": rescued.task_path,
            "worker_id": rescued.worker_id,
            "state": State(rescued.state).name,
        },
    )
