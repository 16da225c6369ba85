"""Settle for one worker, so that an outcome that cannot be stored does not delay others."""

import logging
import time
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from mainspring.backends.storage import Storage
from mainspring.core import clock, outcomes
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.exceptions import StoreLocked, StoreRefused, StoreUnavailable
from mainspring.runtime.telling import Telling

logger = logging.getLogger("mainspring")

_LOOK_EVERY: Final = 0.5  # seconds between checks of locks
_FIRST_PAUSE: Final = 1.0  # seconds until an outcome that failed alone is retried
_LONGEST_PAUSE: Final = 30.0
_PATIENCE: Final = 3  # failed settles in a row before outcomes are settled one by one
_MOST_ALONE: Final = 4  # outcomes that fail alone, with none stored, before the store is blamed


class _Aside(NamedTuple):
    """An outcome to retry later."""

    outcome: Outcome
    pause: float
    """Seconds since the last try; 0 if only the lock is checked."""
    at: float
    """The time of the next try, by ``time.monotonic()``."""


class Settled(NamedTuple):
    """The result of an exchange."""

    outcomes: Sequence[Outcome]
    """The outcomes that were stored or dropped."""
    lost_ids: Sequence[str]
    jobs: list[Job]


class Settler:
    """The exchanges with the store, for one thread at a time.

    An outcome whose row is locked is set aside and retried. So is one that fails for an unknown
    reason while others are stored. If the store refuses an outcome, its call fails with the reason.
    """

    def __init__(self, storage: Storage, identity: Worker, telling: Telling) -> None:
        self.left: list[Outcome] = []
        """After an exchange that raised: the outcomes to pass to the next one."""
        self._storage = storage
        self._identity = identity
        self._telling = telling
        self._aside: dict[str, _Aside] = {}
        self._next_at = float("inf")
        self._failures = 0
        self._suspects: dict[str, bool] = {}
        """The outcomes that failed alone; True if others were stored since. Until then, the store
        itself may be the problem."""
        self._done: list[Outcome] = []
        self._lost: list[str] = []
        self._unreleased: list[Job] = []
        self._release_at = 0.0

    @property
    def is_due(self) -> bool:
        """Return True if something that was set aside is due."""
        if not (self._aside or self._done or self._unreleased):
            return False
        is_due = bool(self._done) or time.monotonic() >= self._next_at
        return is_due or self.is_release_due

    def exchange(
        self, finished: list[Outcome], queues: Sequence[str], limit: int, freed: Collection[str]
    ) -> Settled:
        """Settle and claim; see :meth:`Storage.settle_and_claim`.

        Raises ``StoreUnavailable`` if the store cannot be used; then :attr:`left` has
        the outcomes that are neither stored nor set aside.
        """
        self.left = finished
        if self._aside:
            self._take_back()
        if self._failures >= _PATIENCE and self.left:
            self._settle_apart()
        while True:
            try:
                lost, jobs = self._storage.settle_and_claim(
                    self._identity, self.left, queues, limit, freed
                )
            except StoreLocked:
                if not self._set_locked_aside():
                    raise
            except StoreRefused:
                if not self.left:
                    raise
                self._settle_apart()
            except StoreUnavailable:
                self._failures += bool(self.left)
                raise
            else:
                return self._told(lost, jobs)

    def _told(self, lost: Sequence[str], jobs: list[Job]) -> Settled:
        done, self.left, self._failures = self.left, [], 0
        if self._done:
            done, lost = [*self._done, *done], [*self._lost, *lost]
            self._done, self._lost = [], []
        if done or jobs:
            self._suspects = dict.fromkeys(self._suspects, True)
        return Settled(done, lost, jobs)

    # Locked by others

    def _locked(self, found: Sequence[Outcome | Job]) -> set[str]:
        return self._storage.find_locked([one.id for one in found]) if found else set()

    def _set_locked_aside(self) -> bool:
        # Return True if locked outcomes were set aside, so that the others can be settled.
        locked = self._locked(self.left)
        self._choose(self.left, locked)
        return bool(locked)

    def _choose(self, found: Sequence[Outcome], locked: Collection[str]) -> None:
        now = time.monotonic()
        for outcome in found:
            if outcome.id in locked:
                if outcome.id not in self._aside:
                    self._telling.outcome_locked(outcome.id)
                self._put_aside(outcome, 0, now)
            else:
                self._aside.pop(outcome.id, None)
        self.left = [outcome for outcome in found if outcome.id not in locked]

    def _put_aside(self, outcome: Outcome, pause: float, now: float) -> None:
        at = now + (pause or _LOOK_EVERY)
        self._aside[outcome.id] = _Aside(outcome, pause, at)
        self._next_at = min(self._next_at, at)

    def _take_back(self) -> None:
        # While rows are locked, check before each settle, as waiting for a lock takes a second.
        now, known = time.monotonic(), {outcome.id for outcome in self.left}
        due = [one for one in self._aside.values() if one.at <= now]
        waiting = [one.outcome for one in due if not (one.pause or one.outcome.id in known)]
        if any(not one.pause for one in self._aside.values()):
            found = [*waiting, *self.left]
            self._choose(found, self._locked(found))
        for one in due:
            if one.pause and one.outcome.id in self._aside:
                del self._aside[one.outcome.id]
                self._settle_one(one.outcome, one.pause)
        self._next_at = min((one.at for one in self._aside.values()), default=float("inf"))

    def release(self, jobs: Sequence[Job]) -> list[Job]:
        """Release jobs, and earlier ones that were locked; return those that are locked.

        Raises ``StoreUnavailable``; then pass ``jobs`` again.
        """
        wanted = [*self._unreleased, *jobs]
        locked = self._locked(wanted) if self._unreleased else set()
        while True:
            free = [job for job in wanted if job.id not in locked]
            try:
                if free:
                    self._storage.release(self._identity, free)
                break
            except StoreLocked:
                if not (more := self._locked(free)):
                    raise
                locked |= more
        self._unreleased = [job for job in wanted if job.id in locked]
        self._release_at = time.monotonic() + _LOOK_EVERY
        return free

    @property
    def is_release_due(self) -> bool:
        """Return True if the release of locked jobs is due."""
        return bool(self._unreleased) and time.monotonic() >= self._release_at

    # One by one

    def _settle_apart(self) -> None:
        # Halve the batch until the outcomes that cannot be stored are alone.
        self._set_locked_aside()
        parts, alone, has_stored = [self.left] if self.left else [], 0, False
        while parts:
            part = parts.pop()
            if len(part) == 1:
                is_stored = self._settle_one(part[0], 0)
            else:
                is_stored = self._settle_part(part)
                if not is_stored:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                    continue
            has_stored |= is_stored
            alone += not is_stored
            if alone >= _MOST_ALONE and not has_stored:
                break
        self._failures = 0

    def _settle_part(self, part: Sequence[Outcome]) -> bool:
        try:
            lost = self._storage.settle(self._identity, part)
        except StoreUnavailable:
            self._storage.leases()  # raises if the store cannot be used at all
            return False
        self._settled(part, lost)
        return True

    def _settled(self, part: Sequence[Outcome], lost: Sequence[str]) -> None:
        done = {outcome.id for outcome in part}
        others = {task_id: True for task_id in self._suspects if task_id not in done}
        self._suspects = others
        self.left = [outcome for outcome in self.left if outcome.id not in done]
        self._done += part
        self._lost += lost

    def _settle_one(self, outcome: Outcome, pause: float) -> bool:
        # Settle it, or a failure with the reason, or set it aside. Return True if it was settled.
        try:
            lost = self._storage.settle(self._identity, [outcome])
        except StoreLocked:
            self._telling.outcome_locked(outcome.id)
            self._leave(outcome, 0)
            return False
        except StoreRefused as error:
            return self._settle_refusal(outcome, error)
        except StoreUnavailable as error:
            self._require_use(outcome)
            self._suspect(outcome.id, error, is_first=not pause)
            self._leave(outcome, min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE))
            return False
        self._settled([outcome], lost)
        return True

    def _suspect(self, task_id: str, error: StoreUnavailable, is_first: bool) -> None:
        if is_first:
            self._suspects[task_id] = False
        elif self._suspects.get(task_id):
            del self._suspects[task_id]
            self._telling.outcome_failed(task_id, error)

    def _settle_refusal(self, outcome: Outcome, error: StoreRefused) -> bool:
        self._telling.outcome_refused(outcome.id, error)
        substitutes = [
            outcomes.refused(outcome, str(error), clock.now(), self._identity.id, keeps_history)
            for keeps_history in (True, False)
        ]
        for substitute in substitutes:
            try:
                lost = self._storage.settle(self._identity, [substitute])
            except StoreRefused:
                continue
            except StoreUnavailable:
                self._require_use(outcome)
                break
            self._settled([substitute], lost)
            return True
        self._leave(outcome, _LONGEST_PAUSE)
        return False

    def _require_use(self, outcome: Outcome) -> None:
        # Raise if the store cannot be used at all; the outcome is then kept with all others.
        try:
            self._storage.leases()
        except StoreUnavailable:
            if all(one.id != outcome.id for one in self.left):
                self.left.append(outcome)
            raise

    def _leave(self, outcome: Outcome, pause: float) -> None:
        self.left = [one for one in self.left if one.id != outcome.id]
        self._put_aside(outcome, pause, time.monotonic())
