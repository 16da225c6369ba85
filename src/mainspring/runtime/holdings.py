"""What a worker holds: jobs that it has claimed, and outcomes that are not settled yet."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from mainspring.backends.forking import end_child
from mainspring.backends.storage import Storage
from mainspring.backends.unreadable_jobs import problem_of, put_aside
from mainspring.core import clock
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.exceptions import StoreUnavailable, Unreadable
from mainspring.runtime.board import Board, NoBoard
from mainspring.runtime.limited import Limited
from mainspring.runtime.maps import Maps
from mainspring.runtime.settler import Settler
from mainspring.runtime.telling import Telling

_SCHEDULED: Final = State.SCHEDULED  # looked up on the enum, it takes 0.03 µs


class Holdings:
    """Claims, settles and releases for one worker; one thread at a time.

    What fails is kept and done again: to settle or to release twice is harmless.
    """

    def __init__(
        self,
        storage: Storage,
        identity: Worker,
        board: Board | NoBoard,
        telling: Telling,
        most: int,
        scheduled: Callable[[], object],
    ) -> None:
        """``most``: how many jobs the worker may claim before it is replaced.

        ``scheduled`` is called when jobs were settled that are to be run again later.
        """
        self.finished: list[Outcome] = []
        """Outcomes to be settled; lanes append to it, in any thread."""
        self.left = most
        """How many jobs may still be claimed."""
        self.has_worked = False
        """Whether any task has run."""
        self.limited = Limited()
        """Which of the jobs hold slots of limits."""
        self.maps = Maps()
        """Which of them are rows of maps."""
        self._process = os.getpid()
        self._worker_id = identity.id
        self.settler = Settler(storage, identity, telling)
        """The settler, which also keeps the outcomes that wait for locks."""
        self._board = board
        self._telling = telling
        self._scheduled = scheduled
        self._claims: dict[str, int | None] = {}  # by job, of those that wait, run or are unsettled
        self._again: dict[str, Job] = {}
        self._unreleased: list[Job] = []

    @property
    def is_empty(self) -> bool:
        """True if every claimed job is settled or released, and no map has to be finished."""
        return not (self._claims or self._again or self.maps.has_ended)

    def oldest_finished_at(self) -> int | None:
        """Return when the first job finished that is not settled; None if all are."""
        try:
            return self.finished[0].finished_at or 0
        except IndexError:
            return None

    def settle_and_claim(self, queues: Sequence[str], limit: int) -> list[Job]:
        """Settle what has finished, claim up to ``limit`` jobs, and return those to be run.

        A job that was lost because the lease ended, and that still runs here, may be claimed again.
        It is returned when its first run has been settled, whose outcome is dropped.

        Raises ``StoreUnavailable``, after logging it.
        """
        self._end_if_child()
        if self._unreleased or self.settler.is_release_due:
            self.release(())
        # Emptied in place and from the front: lanes append without a lock.
        outcomes = self.finished[:]
        del self.finished[: len(outcomes)]
        freed = self.limited.freed_by(outcomes)
        if not (outcomes or limit or freed or self.settler.is_due):
            return self._begin([])
        try:
            settled, lost_ids, jobs = self.settler.exchange(outcomes, queues, limit, freed)
        except BaseException as error:
            self.finished[:0] = self.settler.left
            if isinstance(error, StoreUnavailable):
                self._telling.store_failed(error)
            raise
        self.limited.told()
        self.left -= len(jobs)
        # First, because a job that is run again may have been claimed again.
        self.maps.settled(settled)
        self._settled(settled, lost_ids, proves_use=bool(settled or limit))
        return self._begin(jobs)

    def _end_if_child(self) -> None:
        # A forked child must not settle the claims of its parent.
        if os.getpid() != self._process:
            end_child(sys.exception())

    def _begin(self, jobs: list[Job]) -> list[Job]:
        if self._again:
            jobs = list({job.id: job for job in [*self._again.values(), *jobs]}.values())
            self._again = {}
        claims = {job.id: job.claim for job in jobs}
        if not claims.keys().isdisjoint(self._claims.keys()):
            self._again = {job.id: job for job in jobs if job.id in self._claims}
            jobs = [job for job in jobs if job.id not in self._claims]
            claims = {job.id: job.claim for job in jobs}
        self._claims |= claims
        try:
            self.limited.claimed(jobs)
            self.maps.claimed(jobs)
        except Unreadable:
            jobs = self._put_aside(jobs)
            self.limited.claimed(jobs)
            self.maps.claimed(jobs)
        return jobs

    def _put_aside(self, jobs: list[Job]) -> list[Job]:
        # Return the readable jobs. The outcomes of the others are settled with the next ones.
        readable: list[Job] = []
        for job in jobs:
            if (problem := problem_of(job)) is None:
                readable.append(job)
            else:
                now = clock.now()
                self.finished.append(put_aside(job, self._worker_id, now, problem))
        return readable

    def settled(self, outcomes: Sequence[Outcome], lost_ids: Sequence[str]) -> None:
        """Record outcomes that were settled, or dropped, in a transaction of their own."""
        self.limited.freed_by(outcomes)
        self.maps.settled(outcomes)
        self._settled(outcomes, lost_ids)

    def _settled(
        self, outcomes: Sequence[Outcome], lost_ids: Sequence[str], proves_use: bool = True
    ) -> None:
        if proves_use:  # an empty exchange does not write
            self._telling.store_works()
        self._telling.outcomes_dropped(lost_ids)
        if not outcomes:
            return
        ids = {outcome.id for outcome in outcomes}
        for job_id in ids:
            self._claims.pop(job_id, None)
        self.has_worked = True
        self._board.settled(ids)
        if any(outcome.state == _SCHEDULED for outcome in outcomes):
            self._scheduled()

    def release_all(self, jobs: Sequence[Job]) -> None:
        """Release jobs, and those that were claimed again while they still ran."""
        again, self._again = list(self._again.values()), {}
        self.release([*jobs, *again])

    def release(self, jobs: Sequence[Job]) -> None:
        """Give back jobs that have not started, and those of earlier calls that failed.

        These are not to be started any more: nobody knows whether they are still this worker's.
        """
        self._end_if_child()
        self._unreleased += jobs
        if not (self._unreleased or self.settler.is_release_due):
            return
        try:
            released = self.settler.release(self._unreleased)
        except StoreUnavailable as error:
            self._telling.store_failed(error)
            raise
        begun = [job for job in released if self._claims.get(job.id) == job.claim]
        for job in begun:
            del self._claims[job.id]
        self.limited.given_back(begun)
        self.maps.given_back(begun)
        self.left += len(released)
        self._unreleased = []
