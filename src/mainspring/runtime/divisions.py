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
_LOOK_EVERY: Final = 0.5  # seconds between looks whether a lock is gone

type Settled = Callable[[Sequence[Outcome], Sequence[str]], None]


class _Aside(NamedTuple):
    """A division that is stored when nobody else has locked its row any more."""

    job: Job
    division: Division
    is_reduced: bool
    """Whether it is without the values that the store has refused."""


class Divisions:
    """Stores the divisions of one worker: at once, or later if the row is locked."""

    def __init__(
        self, storage: Storage, worker: Worker, telling: Telling, settled: Settled
    ) -> None:
        """``settled`` takes the outcome of the row, with its id if it was dropped."""
        self._storage = storage
        self._worker = worker
        self._telling = telling
        self._settled = settled
        self._aside: list[_Aside] = []
        self._look_at = 0.0

    def store(self, job: Job, division: Division) -> None:
        """Store a division. Wait while the store is unavailable."""
        is_reduced = False
        while True:
            try:
                self._store(job, division)
            except StoreLocked:  # as by one who cancels it in a long transaction
                self._telling.outcome_locked(job.id)
                self._look_at = time.monotonic() + _LOOK_EVERY
                self._aside.append(_Aside(job, division, is_reduced))
                return
            except StoreUnavailable as error:
                if isinstance(error, StoreRefused) and not is_reduced:
                    division, is_reduced = self._without_values(job, division, error), True
                    continue
                # The row must not be used otherwise until the store answers.
                self._telling.store_failed(error)
                time.sleep(uniform(*_PAUSE))  # noqa: S311 # so that workers do not all retry at once
            else:
                return

    def _store(self, job: Job, division: Division) -> None:
        # While rows are locked, check first, because waiting for a lock takes a second.
        if self._aside and self._storage.find_locked([job.id]):
            raise StoreLocked(f"The row {job.id} is locked by another transaction")
        is_held = self._storage.divide(self._worker, job, division)
        self._settled(division.outcomes[:1], () if is_held else (job.id,))

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
        """Store the divisions whose rows are no longer locked. Called by another thread.

        Raises ``StoreUnavailable``.
        """
        if not self._aside or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_EVERY
        failure: StoreUnavailable | None = None
        for one in list(self._aside):
            try:
                self._store(one.job, one.division)
            except StoreLocked:
                continue
            except StoreRefused as error:
                self._reduce(one, error)
            except StoreUnavailable as error:  # it may be this one's alone: the others have a turn
                failure = error
            else:
                self._aside.remove(one)
        if failure is not None:
            raise failure

    def _reduce(self, one: _Aside, error: StoreRefused) -> None:
        # What is left of it is stored at the next look.
        if not one.is_reduced:
            left = self._without_values(one.job, one.division, error)
            self._aside[self._aside.index(one)] = _Aside(one.job, left, is_reduced=True)
