"""Settle divisions: rows of maps whose calls had different outcomes."""

import time
from collections.abc import Callable, Sequence
from random import uniform
from typing import Final, NamedTuple

from mainspring.backends.storage import Storage
from mainspring.core import clock, outcomes
from mainspring.core.chunks import Division
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.exceptions import StoreLocked, StoreRefused, StoreUnavailable
from mainspring.runtime.telling import Telling

_PAUSE: Final = 0.1, 1.0  # seconds
_LOOK_EVERY: Final = 0.5  # seconds between checks of locks
_REFUSED_PAUSE: Final = 60.0  # seconds until a division that was refused twice is retried

type Settled = Callable[[Sequence[Outcome], Sequence[str]], None]


class _Aside(NamedTuple):
    """A division to store later: another transaction has locked its row, or it was refused."""

    job: Job
    division: Division
    refusals: int = 0
    """How often the store has refused it, up to 2; from 1 on, it is without its values."""
    at: float = 0.0
    """The time of the next try, by ``time.monotonic()``."""


class Divisions:
    """Stores the divisions of one worker: at once, or later if the row is locked or refused."""

    def __init__(
        self, storage: Storage, worker: Worker, telling: Telling, settled: Settled
    ) -> None:
        """``settled`` takes the outcome of the row, with its id if it was dropped."""
        self._storage = storage
        self._worker = worker
        self._telling = telling
        self._settled = settled
        self._aside: list[_Aside] = []

    def store(self, job: Job, division: Division) -> None:
        """Store a division. Wait while the store is unavailable."""
        one = _Aside(job, division)
        while True:
            try:
                self._store(one)
            except StoreLocked:  # for example, it is cancelled in a long transaction
                self._telling.outcome_locked(job.id)
                self._aside.append(one._replace(at=time.monotonic() + _LOOK_EVERY))
                return
            except StoreRefused as error:
                one = self._refused(one, error)
                if one.refusals > 1:
                    self._aside.append(one)
                    return
            except StoreUnavailable as error:
                # The row must not be used otherwise until the store answers.
                self._telling.store_failed(error)
                time.sleep(uniform(*_PAUSE))  # noqa: S311 # so that workers do not all retry at once
            else:
                return

    def _store(self, one: _Aside) -> None:
        job, division = one.job, one.division
        # While rows are locked, check first, because waiting for a lock takes a second.
        if self._aside and self._storage.find_locked([job.id]):
            raise StoreLocked(f"The row {job.id} is locked by another transaction")
        is_held = self._storage.divide(self._worker, job, division)
        self._settled(division.outcomes[:1], () if is_held else (job.id,))

    def _refused(self, one: _Aside, error: StoreRefused) -> _Aside:
        # Return what to try next: first without its values; if that fails, the same each minute.
        if not one.refusals:
            left = self._without_values(one.job, one.division, error)
            return one._replace(division=left, refusals=1)
        if one.refusals == 1:
            self._telling.outcome_failed(one.job.id, error)
        return one._replace(refusals=2, at=time.monotonic() + _REFUSED_PAUSE)

    def _without_values(self, job: Job, division: Division, error: StoreRefused) -> Division:
        self._telling.outcome_refused(job.id, error)
        now, worker_id = clock.now(), self._worker.id
        return division._replace(
            outcomes=[
                outcomes.refused(one, str(error), now, worker_id, keeps_history=False)
                if one.return_value or one.errors
                else one
                for one in division.outcomes
            ]
        )

    def tend(self) -> None:
        """Store the divisions that are due. Called by another thread.

        Raises ``StoreUnavailable``.
        """
        if not self._aside:
            return
        now = time.monotonic()
        failure: StoreUnavailable | None = None
        for one in [one for one in self._aside if one.at <= now]:
            later = one._replace(at=now + _LOOK_EVERY)
            try:
                self._store(one)
            except StoreLocked:
                self._put_off(one, later)
            except StoreRefused as error:
                self._put_off(one, self._refused(later, error))
            except StoreUnavailable as error:  # perhaps only for this one: try the others
                self._put_off(one, later)
                failure = error
            else:
                self._aside.remove(one)
        if failure is not None:
            raise failure

    def _put_off(self, one: _Aside, later: _Aside) -> None:
        self._aside[self._aside.index(one)] = later
