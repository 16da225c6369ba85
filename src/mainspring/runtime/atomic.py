"""Atomic tasks: what they write and their outcomes are stored in one transaction.

Short ones share a transaction, each in a savepoint of its own. Where something goes wrong with the
whole of it, nothing has happened, and each of them is run again in a transaction of its own.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import uniform
from typing import Final, NamedTuple

from django.db.transaction import TransactionManagementError

from mainspring.backends.storage import Storage
from mainspring.backends.transactions import Hooks, Noted, Transaction
from mainspring.core import clock, outcomes
from mainspring.core.calls import let_go
from mainspring.core.jobs import Job, Outcome, State
from mainspring.exceptions import StoreRefused, StoreUnavailable
from mainspring.runtime.board import Board, NoBoard, ticks
from mainspring.runtime.executor import Executor
from mainspring.runtime.isolation import (
    expect_connections,
    expect_no_changes,
    has_changes,
    has_session_changes,
    tidy_connections,
    watch_connections,
)
from mainspring.runtime.lanes import Waiting
from mainspring.runtime.telling import Telling

logger = logging.getLogger("mainspring")

_SHORT: Final = 5_000  # microseconds: what takes longer gets a transaction of its own
_LONGEST: Final = 9_000  # microseconds after the first outcome; the commit takes about one more
_MOST: Final = 50  # tasks: PostgreSQL looks up more than 64 savepoints less cheaply, for everybody
_APART: Final = 60_000_000  # microseconds without shared transactions, after a conflict
_PAUSE: Final = 0.1, 1.0  # seconds


@dataclass(slots=True)
class Within:
    """What a task that runs in a transaction leaves until the transaction ends."""

    alias: str
    """The alias of the database whose connection must not be tidied up."""
    noted: Noted | None = None
    error: BaseException | None = None
    """What the task raised."""
    was_interrupted: bool = False
    """Whether the task was interrupted: the state of the connection is then unknown."""

    def save(self, job: Job, metadata: bytes | None) -> None:
        """Keep metadata until it is stored together with the outcome."""
        self.noted = Noted(job, metadata)


class _Attempt(NamedTuple):
    job: Job
    outcome: Outcome
    noted: Noted | None
    error: BaseException | None
    hooks: Hooks | None


@dataclass(slots=True)
class _Batch:
    transaction: Transaction
    room: int
    """How many more jobs may join: none that was claimed after the transaction began, as at
    REPEATABLE READ it does not see these claims."""
    attempts: list[_Attempt] = field(default_factory=list)
    due_at: int = 0
    """When to commit, by :func:`ticks`."""


class Atomic:
    """Runs the atomic tasks of one worker, in any of its threads."""

    def __init__(
        self,
        executor: Executor,
        storage: Storage,
        board: Board | NoBoard,
        telling: Telling,
        done: Callable[[Outcome], None],
        settled: Callable[[Sequence[Outcome], Sequence[str]], None],
        waiting: Waiting | None,
    ) -> None:
        """``done`` takes outcomes that are still to be settled, and ``settled`` those that are,
        with the ids of those that were dropped. Tasks share transactions where all of them run in
        one thread: one that takes them from ``waiting``.
        """
        self._executor = executor
        self._storage = storage
        self._board = board
        self._telling = telling
        self._done = done
        self._settled = settled
        self._waiting = waiting
        self._batch: _Batch | None = None
        self._durations: dict[str, float] = {}
        self._apart_until = 0

    def execute(self, job: Job) -> None:
        """Run a job in this thread and have its outcome settled, perhaps together with others."""
        if not self._is_short(job):
            self.commit()
            self._execute_alone(job)
            return
        if self._batch is not None and not self._has_room(self._batch, job):
            self.commit()
        batch = self._batch or self._begin(job)
        if batch is not None:
            self._add(batch, job)

    def commit(self) -> None:
        """Settle and commit what short tasks have done, if anything."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._finish(batch.transaction, batch.attempts)

    # Together

    def _is_short(self, job: Job) -> bool:
        return (
            self._waiting is not None
            and self._durations.get(job.task_path, _SHORT) < _SHORT
            and ticks() >= self._apart_until
        )

    def _has_room(self, batch: _Batch, job: Job) -> bool:
        return batch.room > 0 and ticks() + self._durations[job.task_path] < batch.due_at

    def _begin(self, job: Job) -> _Batch | None:
        waiting = 0 if self._waiting is None else len(self._waiting)
        if (transaction := self._new_transaction(job)) is not None:
            self._batch = _Batch(transaction, min(waiting + 1, _MOST))
        return self._batch

    def _add(self, batch: _Batch, job: Job) -> None:
        try:
            batch.transaction.mark()
        except StoreUnavailable:
            self._abandon(batch, job)
            return
        expect_no_changes(batch.transaction.alias)
        attempt = self._attempt(batch.transaction, job)
        if batch.attempts and self._met_another(batch.transaction, attempt):
            self._apart_until = ticks() + _APART
            batch.attempts.append(attempt)
            self._abandon(batch)
            return
        batch.attempts.append(attempt)
        batch.room -= 1
        batch.due_at = batch.due_at or ticks() + _LONGEST
        if batch.transaction.is_broken or has_changes(batch.transaction.alias):
            self.commit()  # or the next task would see the settings of this one

    def _met_another(self, transaction: Transaction, attempt: _Attempt) -> bool:
        # Locks of the tasks before it may conflict with other transactions, which fails this one.
        return attempt.error is not None and transaction.is_conflict(attempt.error)

    def _abandon(self, batch: _Batch, *jobs: Job) -> None:
        self._batch = None
        batch.transaction.roll_back()
        self._execute_again(batch.attempts, *jobs)

    # Each

    def _execute_alone(self, job: Job) -> None:
        if (transaction := self._new_transaction(job)) is not None:
            self._finish(transaction, [self._attempt(transaction, job)])

    def _execute_again(self, attempts: Sequence[_Attempt], *others: Job) -> None:
        # All their changes were rolled back, so the journal must not show them as started.
        jobs = [*(attempt.job for attempt in attempts), *others]
        for attempt in attempts:
            if attempt.error is not None:
                let_go(attempt.error)
        self._board.settled({job.id for job in jobs})
        for job in jobs:
            self._execute_alone(job)

    def _new_transaction(self, job: Job) -> Transaction | None:
        # None if that fails; then the job is seen to.
        expect_connections()
        tidy_connections()
        watch_connections()
        try:
            return self._storage.atomic()
        except StoreUnavailable as error:
            self._telling.store_failed(error)
            time.sleep(uniform(*_PAUSE))  # noqa: S311 # so that workers do not all come at once
            self._done(outcomes.untouched(job))
        except Exception as error:  # noqa: BLE001 # no store that could be used if tried again
            self._fail(job, clock.now(), None, error)
        return None

    def _attempt(self, transaction: Transaction, job: Job) -> _Attempt:
        within, hooks, began = Within(transaction.alias), None, ticks()
        outcome = self._executor.execute(job, within)
        if outcome.state == State.SUCCESSFUL:
            try:
                hooks = transaction.keep()
            except TransactionManagementError as error:
                within.error = error
                outcome = self._executor.fail(job, outcome.last_attempted_at or 0, error)
        if within.was_interrupted:
            transaction.is_broken = True
        elif outcome.state != State.SUCCESSFUL:
            transaction.undo()
        self._learn(job, ticks() - began)
        return _Attempt(job, outcome, within.noted, within.error, hooks)

    def _learn(self, job: Job, took: int) -> None:
        known = self._durations.get(job.task_path, took)
        self._durations[job.task_path] = took if took > known else (known + took) / 2

    # The end

    def _finish(self, transaction: Transaction, attempts: Sequence[_Attempt]) -> None:
        if transaction.is_broken:
            transaction.roll_back()
            *others, culprit = attempts
            self._give_up(culprit)
            self._execute_again(others)
            return
        settled = [attempt.outcome for attempt in attempts]
        noted = [attempt.noted for attempt in attempts if attempt.noted is not None]
        try:
            lost = transaction.settle(settled, noted)
        except StoreRefused as error:
            self._blame(attempts, error)
            return
        except StoreUnavailable as error:
            if not self._are_stored(settled):
                if len(attempts) == 1 and has_session_changes(transaction.alias):
                    error.add_note("The task has changed settings of the database session.")
                    self._blame(attempts, error)
                    return
                self._try_again(attempts, error)
                return
            lost = []
        except Exception as error:  # noqa: BLE001 # what a deferred constraint raises, for one
            self._blame(attempts, error)
            return
        if lost:
            self._drop(attempts, set(lost))
        else:
            self._settled(settled, ())
            self._tell(attempts)

    def _are_stored(self, settled: Sequence[Outcome]) -> bool:
        # Waits for the store to answer: there is nothing else that may be done with these jobs.
        while True:
            try:
                return len(self._storage.stored(settled)) == len(settled)
            except StoreUnavailable as error:
                self._telling.store_failed(error)
                time.sleep(uniform(*_PAUSE))  # noqa: S311

    def _try_again(self, attempts: Sequence[_Attempt], error: StoreUnavailable) -> None:
        if len(attempts) > 1:
            self._execute_again(attempts)
            return
        job = attempts[0].job
        logger.warning(
            "The transaction of task id=%s path=%s was not stored; the task is run again: %s",
            job.id,
            job.task_path,
            error,
            extra={"task_id": job.id, "task_path": job.task_path},
        )
        self._done(outcomes.untouched(job))

    def _blame(self, attempts: Sequence[_Attempt], error: Exception) -> None:
        if len(attempts) > 1:  # each by itself, it shows whose fault it is
            self._execute_again(attempts)
            return
        (attempt,) = attempts
        error.add_note("Raised when what the task wrote was to be committed.")
        self._fail(attempt.job, attempt.outcome.last_attempted_at or 0, attempt.noted, error)

    def _drop(self, attempts: Sequence[_Attempt], lost: set[str]) -> None:
        gone = [attempt.outcome for attempt in attempts if attempt.job.id in lost]
        self._settled(gone, [outcome.id for outcome in gone])
        self._execute_again([attempt for attempt in attempts if attempt.job.id not in lost])

    def _fail(self, job: Job, started_at: int, noted: Noted | None, error: BaseException) -> None:
        outcome = self._executor.fail(job, started_at, error)
        self._give_up(_Attempt(job, outcome, noted, error, None))

    def _give_up(self, attempt: _Attempt) -> None:
        # Of what it wrote nothing is left, so that its outcome may be settled like any other.
        if attempt.noted is not None:
            with suppress(StoreUnavailable):  # the error counts
                self._storage.save_metadata(*attempt.noted)
        self._tell([attempt])
        self._done(attempt.outcome)

    def _tell(self, attempts: Sequence[_Attempt]) -> None:
        for attempt in attempts:
            if attempt.error is not None or attempt.outcome.state == State.SUCCESSFUL:
                job, noted = attempt.job, attempt.noted
                told = job if noted is None else job._replace(metadata=noted.metadata)
                self._executor.telling.tell(told, attempt.outcome, attempt.error)
            if attempt.error is not None:
                let_go(attempt.error)
            if attempt.hooks is not None:
                self._executor.call_hooks(attempt.job, attempt.hooks)
        tidy_connections()
