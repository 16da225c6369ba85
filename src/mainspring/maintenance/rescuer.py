"""Rescuer: recovers work whose worker died."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from mainspring import signals
from mainspring.backends.storage import LostWorker, Rescued, Storage, lease_ended
from mainspring.core.clock import SECOND
from mainspring.core.formats import FORMAT, format_of_worker
from mainspring.core.jobs import State
from mainspring.core.leases import Lease, Leases, Sightings
from mainspring.core.results import TaskResult
from mainspring.exceptions import NewerFormat, TaskTimeout, Unreadable
from mainspring.maintenance.loop import Loop

logger = logging.getLogger("mainspring")

_TIMEOUT: Final = f"{TaskTimeout.__module__}.{TaskTimeout.__qualname__}"
_UNREADABLE: Final = frozenset(
    f"{e.__module__}.{e.__qualname__}" for e in (Unreadable, NewerFormat)
)
LATE: Final = 0.1
"""Seconds within which a server stores what a process had sent when it died."""
_INTERVAL: Final = 1.0  # seconds between looks for dead workers of this machine, at most
_LEASES: Final = 5.0  # seconds between looks for leases that ended, at most


class Memory(Protocol):
    """Keeps the sightings of leases for later processes."""

    def renewed_at(self) -> float:
        """Return when this process renewed its own lease, by ``time.monotonic()``."""

    def read(self) -> Sightings | None:
        """Return the stored sightings, or None."""

    def write(self, seen: Sightings) -> None:
        """Store the sightings."""

    def forget(self) -> None:
        """Make all processes restart their watch."""


class Rescuer(Loop):
    """Looks every second for dead workers of this machine, and less often for ended leases."""

    def __init__(
        self,
        storage: Storage,
        find_lost: Callable[[], Sequence[LostWorker]],
        forget: Callable[[LostWorker], None],
        is_steady: Callable[[], bool],
        lease: int,
        memory: "Memory | None" = None,
        has_died: Callable[[], object] | None = None,
    ) -> None:
        """``is_steady`` returns whether leases can be renewed, as far as this worker knows.

        While the store rejects writes, or the machine is suspended, no worker can renew its lease,
        so none is considered dead. ``memory`` keeps the sightings of leases for other processes.
        ``has_died`` is called after a dead worker has been rescued.
        """
        third = lease / SECOND / 3
        self._interval = min(third, _INTERVAL)
        self._look_every = min(third, _LEASES)
        self._leases = Leases(longest_pause=2 * third)
        self._storage = storage
        self._find_lost = find_lost
        self._forget = forget
        self._is_steady = is_steady
        self._memory = memory
        self._has_died = has_died
        self._next_leases = 0.0
        self._seen: set[str] = set()

    def step(self, now: int) -> float:
        """Rescue what there is to rescue."""
        if not self._is_steady():
            self._watch_anew()
            return self._interval
        dead, moment = self._find_lost(), time.monotonic()
        is_due = moment >= self._next_leases
        if dead or is_due:
            silent = self._silent(moment) if is_due else []
            rescued = self._storage.rescue(now, [*silent, *dead])
            tell_rescued(self._storage, rescued)
            if rescued:  # calls that ended with their worker may have freed slots
                self._storage.admit(now)
            if (silent or dead) and self._has_died is not None:
                self._has_died()
        are_new = self._forget_seen(dead)
        return min(LATE, self._interval) if are_new else self._interval

    def _forget_seen(self, dead: Sequence[LostWorker]) -> bool:
        # Only at the second look: a dead process's last writes, such as its registration, may be
        # stored after the first one. Not while others have locked some of its jobs: how it died
        # decides what becomes of these, too. Return True if any dead worker is new.
        seen = [worker for worker in dead if worker.worker_id in self._seen]
        if seen:
            left = registered(self._storage)
            for worker in seen:
                if worker.worker_id not in left:
                    self._forget(worker)
        self._seen = {worker.worker_id for worker in dead}
        return len(seen) < len(dead)

    def _silent(self, moment: float) -> list[LostWorker]:
        self._next_leases = moment + self._look_every
        leases = list(filter(_is_readable, self._storage.leases()))
        if self._memory is None:
            ended = self._leases.ended(leases, moment)
        else:
            renewed_at = self._memory.renewed_at()
            ended = self._leases.ended(leases, moment, self._memory.read(), renewed_at)
            self._memory.write(Sightings(self._leases.since, moment, renewed_at))
        return [lease_ended(one) for one in ended]

    def _watch_anew(self) -> None:
        if self._memory is not None and self._leases.since:
            self._memory.forget()
        self._leases.forget()


def _is_readable(lease: Lease) -> bool:
    # Only newer versions understand leases of a newer format.
    return format_of_worker(lease.worker_id) <= FORMAT


def registered(storage: Storage) -> set[str]:
    """Return the ids of the registered workers, including dead ones not rescued yet."""
    return {lease.worker_id for lease in storage.leases()}


def tell_rescued(storage: Storage, rescued: Sequence[Rescued]) -> None:
    """Log what became of jobs whose worker died, and send the signals."""
    for one in rescued:
        _log(one)
    heard = [
        signal for signal in (signals.task_rescued, signals.task_timed_out) if signal.receivers
    ]
    if not (rescued and heard):
        return
    jobs = {job.id: job for job in storage.get_results([one.job_id for one in rescued])}
    for one in rescued:
        if one.job_id not in jobs:  # finished and pruned since
            continue
        try:
            _send(type(storage), one, TaskResult.from_job(jobs[one.job_id]))
        except BaseException:  # a receiver that ends the thread would stop all rescues
            logger.exception("The signals for the rescued task id=%s could not be sent", one.job_id)


def _send(sender: type, one: Rescued, result: TaskResult[object]) -> None:
    details = signals.Rescue(result, one.worker_id, one.was_started)
    signals.task_rescued.send_robust(sender, details=details)
    if one.error.exception_class_path == _TIMEOUT and one.was_started:
        timed_out = signals.TimedOut(result, one.error)
        signals.task_timed_out.send_robust(sender, details=timed_out)


def _log(rescued: Rescued) -> None:
    if rescued.error.exception_class_path in _UNREADABLE:
        what = "cannot be read by this version"
    elif not rescued.was_started:
        what = "goes on elsewhere"
    elif rescued.state == State.FAILED:
        what = "was running and has failed for good"
    else:
        what = "was running and will be run again"
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
