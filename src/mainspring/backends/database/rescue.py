"""Rescue: finds workers that are gone, and recovers the jobs that they had claimed."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mainspring.backends.database.skipping import ready_moments
from mainspring.backends.rescuing import rescue_from
from mainspring.backends.storage import LostWorker, Rescued, lease_ended
from mainspring.core.jobs import NEW_COLUMNS, Job, Outcome, Worker
from mainspring.core.leases import Lease
from mainspring.core.policy import Policy

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

_LONG: Final = 0.02  # seconds
_SHARE: Final = 500  # slow looks are so rare that they take at most one part in 500 of the time


class LostJobs:
    """What lost workers of one backend alias have left claimed."""

    def __init__(self, backend: str, defaults: Policy) -> None:
        self._backend = backend
        self._defaults = defaults
        self._orphans: set[int] = set()
        self._next_orphans = 0.0

    def find(
        self, dialect: "Dialect", cursor: Any, lost: Sequence[LostWorker]
    ) -> list[tuple[Worker, LostWorker, Lease]]:
        """Return those of ``lost`` that are registered and have not renewed their lease since.

        Return each of them with how it was lost, and with its lease.
        """
        known = {worker.worker_id: worker for worker in lost}
        gone = []
        for token, lease in self.leases(dialect, cursor):
            found = known.get(lease.worker_id)
            if found is not None and found.lease in {None, lease}:
                gone.append((Worker(lease.worker_id, token), found, lease))
        return gone

    def leases(self, dialect: "Dialect", cursor: Any) -> list[tuple[int, Lease]]:
        """Return the token and the lease of each registered worker."""
        cursor.execute(dialect.sql("leases"), (self._backend,))
        return [(token, Lease(*lease)) for token, *lease in cursor.fetchall()]

    def find_orphans(
        self, dialect: "Dialect", cursor: Any, now: int
    ) -> list[tuple[Worker, LostWorker]]:
        """Return workers that hold claims, but are registered neither now nor at the last look.

        Such a worker was considered lost, went on, and died before it could register again. It has
        until the next look to do so.
        """
        begun = time.monotonic()
        if begun < self._next_orphans:
            return []
        cursor.execute(dialect.sql("orphans"), (self._backend,))
        orphans = {token for (token,) in cursor.fetchall() if token is not None}  # NULL: damaged
        # While a transaction stays open for a long time, a look may read millions of claims.
        took = time.monotonic() - begun
        self._next_orphans = begun + took * _SHARE if took > _LONG else 0.0
        found = [Worker(f"unregistered-{token}", token) for token in orphans & self._orphans]
        self._orphans = orphans
        return [(worker, lease_ended(Lease(worker.id, now, now))) for worker in found]

    def rescue_from(
        self,
        dialect: "Dialect",
        cursor: Any,
        worker: Worker,
        lost: LostWorker,
        now: int,
        lease: Lease,
    ) -> list[Rescued]:
        """Unregister a lost worker and rescue its jobs, in the caller's transaction.

        Do nothing if only its expired lease is known, and it has renewed the lease since. If the
        worker is known to be dead, its last renewal may have been stored after its death.
        """
        if lost.lease is None:
            cursor.execute(dialect.sql("retire"), (worker.token,))
        else:
            cursor.execute(dialect.sql("retire_lost"), (worker.token, lease.ends_at))
        if not cursor.rowcount:
            return []
        rescued, has_locked = self._rescue(dialect, cursor, worker, lost, now)
        if has_locked:  # the next look tries the locked jobs again
            known = (worker.token, lease.heard_at, lease.ends_at, worker.id, self._backend)
            cursor.execute(dialect.sql("register"), known)
        return rescued

    def rescue_jobs(
        self, dialect: "Dialect", cursor: Any, worker: Worker, lost: LostWorker, now: int
    ) -> list[Rescued]:
        """Rescue the jobs of a worker that are not locked, in the caller's transaction."""
        return self._rescue(dialect, cursor, worker, lost, now)[0]

    def _rescue(
        self, dialect: "Dialect", cursor: Any, worker: Worker, lost: LostWorker, now: int
    ) -> tuple[list[Rescued], bool]:
        # Also return True if other transactions have locked more of its jobs.
        cursor.execute(dialect.sql("claimed"), (worker.first_claim, worker.last_claim))
        jobs = [Job(*row) for row in cursor.fetchall()]
        locked = dialect.find_locked(cursor, [job.id for job in jobs]) if jobs else set[str]()
        jobs = [job for job in jobs if job.id not in locked]
        found = [rescue_from(job, worker, lost, now, self._defaults) for job in jobs]
        rescued: list[Rescued] = []
        settled: list[Outcome] = []
        for job, (division, one) in zip(jobs, found, strict=True):
            if division.parts:
                if not dialect.keep_calls(cursor, division.arguments, job.id, job.claim):
                    continue  # settled just now by a worker that only looked dead
                dialect.add_jobs(cursor, [part[:NEW_COLUMNS] for part in division.parts])
            settled += division.outcomes
            rescued.append(one)
        if settled:
            gone = set(dialect.settle(cursor, settled))
            rescued = [one for one in rescued if one.job_id not in gone]
            dialect.ready_again(ready_moments(settled))
        return rescued, bool(locked)
