"""Runs one job and says what came of it; settles nothing."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, overload

from asgiref.sync import sync_to_async
from django.tasks import task_backends

from mainspring.backends.base import MainspringBackend
from mainspring.core import clock, codec, outcomes
from mainspring.core.calls import Call, describe
from mainspring.core.chunks import spec_of
from mainspring.core.context import TaskContext
from mainspring.core.failures import outcome_of_failure
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.notes import Notes
from mainspring.core.policy import Policy
from mainspring.exceptions import Discard, Retry, Snooze, StoreUnavailable
from mainspring.runtime.board import Board, NoBoard, ticks
from mainspring.runtime.guard import Guard
from mainspring.runtime.isolation import (
    Surroundings,
    atidy_connections,
    context_for_tasks,
    has_connections,
    tidy_connections,
)
from mainspring.runtime.known_tasks import KnownTasks
from mainspring.runtime.steps import Steps
from mainspring.runtime.task_signals import TaskSignals

if TYPE_CHECKING:
    from mainspring.backends.transactions import Hooks
    from mainspring.runtime.atomic import Atomic, Within
    from mainspring.runtime.row_runner import RowRunner

logger = logging.getLogger("mainspring")


class Executor:
    """Runs jobs for one worker, in any of its threads."""

    def __init__(
        self,
        backend: MainspringBackend,
        worker: Worker,
        board: Board | NoBoard,
        guard: Guard | None = None,
    ) -> None:
        """Without a ``guard``, nobody tells tasks to end."""
        self.telling = TaskSignals(type(backend), worker.id)
        self._storage = backend.storage
        self.tasks = KnownTasks(backend.config.options.policy, self._storage.get_results)
        self._guard = guard or Guard(board)
        self.notes: dict[str, Notes] = {}
        """Those of the calls that run, for their progress to be saved."""
        self._alias = backend.alias
        self._max_payload = backend.config.options.max_payload
        self._worker = worker
        self._board = board
        self._surroundings = Surroundings()
        self.atomic: Atomic | None = None
        """What runs atomic tasks."""
        self.rows: RowRunner | None = None
        """What runs the rows of maps."""
        # So that tasks find the process's backends in their contexts, and do not build new ones.
        task_backends[self._alias]
        self._context = context_for_tasks()
        self.listen()

    def listen(self) -> None:
        """Look anew who listens to signals; done once a claim, as it takes 1 µs."""
        self.telling.listen()

    @overload
    def execute(self, job: Job) -> Outcome | None: ...
    @overload
    def execute(self, job: Job, within: "Within") -> Outcome: ...
    def execute(  # noqa: C901 # one function more would take 0.05 µs of each call
        self, job: Job, within: "Within | None" = None
    ) -> Outcome | None:
        """Run a job of a sync task in this thread; raises nothing.

        Returns None for an atomic task, unless it is to run ``within`` a transaction: its outcome
        is settled together with what it writes.
        """
        try:
            call = self.tasks.find(job)
            if call is None:
                return outcomes.postponed(job, clock.now())
            policy = self.tasks.policy_of(job)
            is_plain = within is not None or (job.options is None and not policy.atomic)
            if not is_plain and (run := self._other_way(job, call, policy)) is not None:
                return run()
            if has_connections():
                self._tidy_before(within)
            guard, timeout = self._guard, policy.timeout or 0
            started_at, began = clock.now(), monotonic_ns() // 1000
            self._board.start(job.id, started_at, began, timeout)
            told: BaseException | None = None
            try:
                try:
                    if self.telling.hears_started or call.takes_context:
                        args, kwargs = self._arguments(job, call, started_at, within)
                    else:
                        args, kwargs = codec.decode(job.arguments)
                    if guard.uses_signal and guard.is_watching:
                        guard.in_main = job
                    else:
                        self._enter(job, began, timeout)
                    value = self._context.copy().run(call.func, *args, **kwargs)
                finally:
                    guard.in_main = None
                    if guard.running or guard.told:
                        told = guard.leave(job.id)
                job, outcome = self._succeeded(job, started_at, value)
            except BaseException as error:  # noqa: BLE001 # a task may raise SystemExit and the like
                # In here, so that the log gets the traceback.
                outcome = self._raised(job, policy, started_at, error, told, within)
            else:
                is_heard = within is None and self.telling.hears_finished
                self.telling.tell_finished(job, outcome, is_heard)
            self._board.end(job.id)
            self._surroundings.restore()
            if has_connections():
                tidy_connections(None if within is None else within.alias)
        except BaseException as error:  # noqa: BLE001 # not the task's: ours, or what is stored
            return self._given_up(job, error, within)
        return outcome

    def _raised(
        self,
        job: Job,
        policy: Policy,
        started_at: int,
        error: BaseException,
        told: BaseException | None,
        within: "Within | None",
    ) -> Outcome:
        # What it was told may have come in the midst of leaving.
        reason = reason_of(error, self._guard.leave(job.id) or told)
        self._surroundings.restore()  # telling of the error takes the usual recursion limit
        job, outcome = self._failed(job, policy, started_at, reason)
        self._ended(job, outcome, reason, within)
        return outcome

    def _given_up(self, job: Job, error: BaseException, within: "Within | None" = None) -> Outcome:
        # The call fails for good, and with it no other one: a worker that dies takes others along.
        is_started = self._board.started(job.id) is not None
        if isinstance(error, StoreUnavailable) and not is_started:
            return outcomes.untouched(job)
        logger.error(
            "Task id=%s path=%s has failed, as its worker cannot handle it",
            job.id,
            job.task_path,
            exc_info=error,
            extra={"task_id": job.id, "task_path": job.task_path},
        )
        self._guard.leave(job.id)
        self.notes.pop(job.id, None)
        if is_started:
            self._board.end(job.id)
        self._surroundings.restore()
        if within is not None:
            within.error = error
        now = clock.now()
        return outcomes.failed(job, self._worker.id, now, now, describe(error))

    def _other_way(
        self, job: Job, call: Call, policy: Policy
    ) -> Callable[[], Outcome | None] | None:
        # How to run what is not run as a call by itself: a row of a map, an atomic task.
        spec = spec_of(job.options)
        if (
            spec is not None
            and spec.kind != "calls"
            and not spec.is_merge
            and self.rows is not None
        ):
            return partial(self.rows.run, job, call, policy, spec)
        if policy.atomic and self.atomic is not None:
            return partial(self.atomic.execute, job)
        return None

    def _tidy_before(self, within: "Within | None") -> None:
        if within is None:
            self.commit()  # others' transaction, which this task is not to write in
        tidy_connections(None if within is None else within.alias)

    def commit(self) -> None:
        """Settle what atomic tasks have done together in this thread, if anything."""
        if self.atomic is not None:
            self.atomic.commit()

    def fail(self, job: Job, started_at: int, error: BaseException) -> Outcome:
        """Return the outcome of an attempt that failed beside its task, or after it."""
        policy, now = self.tasks.policy_of(job), clock.now()
        return outcome_of_failure(job, policy, self._worker.id, started_at, now, error)

    def call_hooks(self, job: Job, hooks: "Hooks") -> None:
        """Call what a task has asked for to be called after the commit; raises nothing."""
        try:
            self._context.copy().run(hooks)
        except BaseException:  # the task is over, whatever they raise
            logger.exception(
                "What task id=%s path=%s gave to on_commit() raised",
                job.id,
                job.task_path,
                extra={"task_id": job.id, "task_path": job.task_path},
            )
        self._surroundings.restore()

    async def aexecute(self, job: Job) -> Outcome:
        """Run a job of an async task in this event loop; raises nothing."""
        try:
            call = self.tasks.find(job)
            if call is None:
                return outcomes.postponed(job, clock.now())
            policy = self.tasks.policy_of(job)
            started_at, began, timeout = clock.now(), ticks(), policy.timeout or 0
            self._board.start(job.id, started_at, began, timeout)
            told: BaseException | None = None
            try:
                await atidy_connections()
                args, kwargs = codec.decode_call(job.arguments)
                if self.telling.hears_started or call.takes_context:
                    running = self.telling.running(job, started_at)
                    if self.telling.hears_started:
                        await self.telling.atell_started(running)
                    if call.takes_context:
                        args = [TaskContext(running, self._notes_of(job)), *args]
                steps = Steps(call.func(*args, **kwargs), partial(self._board.step, job.id))
                self._guard.enter(job, began, timeout, steps.tell)
                try:
                    value = await steps
                finally:
                    told = self._guard.leave(job.id)
                if call.takes_context:
                    job = await sync_to_async(self._with_notes)(job)
                job, outcome = self._succeeded(job, started_at, value)
            except BaseException as error:  # noqa: BLE001
                reason = reason_of(error, told)
                self._surroundings.restore()
                if call.takes_context:
                    with suppress(asyncio.CancelledError):
                        job = await sync_to_async(self._with_notes_of_failed)(job)
                job, outcome = self._failed(job, policy, started_at, reason)
                await self.telling.atell_ended(job, outcome, reason)
            else:
                await self.telling.atell_finished(job, outcome, self.telling.hears_finished)
            self._board.end(job.id)
            self._surroundings.restore()
            with suppress(asyncio.CancelledError):  # by the task itself
                await atidy_connections()
        except BaseException as error:  # noqa: BLE001 # as for execute()
            return self._given_up(job, error)
        return outcome

    def _enter(self, job: Job, began: int, timeout: int) -> None:
        if self._guard.uses_signal:
            self._guard.in_main = job
            self._guard.watch()
        else:
            self._guard.enter(job, began, timeout)

    def _arguments(
        self, job: Job, call: Call, started_at: int, within: "Within | None"
    ) -> tuple[list[Any], dict[str, Any]]:
        args, kwargs = codec.decode_call(job.arguments)
        if self.telling.hears_started or call.takes_context:
            running = self.telling.running(job, started_at)
            if self.telling.hears_started:
                self.telling.tell_started(running)
            if call.takes_context:
                args = [TaskContext(running, self._notes_of(job, within)), *args]
        return args, kwargs

    def _notes_of(self, job: Job, within: "Within | None" = None) -> Notes:
        saves = self._storage.save_metadata if within is None else within.save

        def save(metadata: bytes | None) -> None:
            saves(job, metadata)

        notes = Notes(job.metadata, save, self._max_payload, threading.Lock())
        self.notes[job.id] = notes
        return notes

    def _with_notes(self, job: Job) -> Job:
        # Saves what a task that returned has noted down; returns the job with it.
        return self._with_saved_notes(job, StoreUnavailable)

    def _with_notes_of_failed(self, job: Job) -> Job:
        # What is not JSON is not worth a word more than the task's own error.
        return self._with_saved_notes(job, (StoreUnavailable, TypeError, ValueError))

    def _with_saved_notes(
        self, job: Job, borne: type[Exception] | tuple[type[Exception], ...]
    ) -> Job:
        notes = self.notes.pop(job.id, None)
        if notes is None:
            return job
        try:
            notes.save()
        except borne as error:
            logger.warning(
                "The metadata of task id=%s path=%s is not saved: %s",
                job.id,
                job.task_path,
                error,
                extra={"task_id": job.id, "task_path": job.task_path},
            )
        return job._replace(metadata=notes.saved)

    def _ended(
        self, job: Job, outcome: Outcome, error: BaseException, within: "Within | None"
    ) -> None:
        if within is None:
            self.telling.tell_ended(job, outcome, error)
        else:
            within.error = error

    def _succeeded(self, job: Job, started_at: int, value: Any) -> tuple[Job, Outcome]:
        # And the job with what it has noted down; likewise below.
        returned = None if value is None else codec.encode_value(value, self._max_payload)
        if self.notes:
            job = self._with_notes(job)
        outcome = outcomes.succeeded(job, self._worker.id, started_at, clock.now(), returned)
        return job, outcome

    def _failed(
        self, job: Job, policy: Policy, started_at: int, error: BaseException
    ) -> tuple[Job, Outcome]:
        if self.notes:
            job = self._with_notes_of_failed(job)
        now = clock.now()
        return job, outcome_of_failure(job, policy, self._worker.id, started_at, now, error)


def reason_of(error: BaseException, told: BaseException | None) -> BaseException:
    """Return why an attempt ended that raised ``error``: what it was ``told``, if it was.

    Drivers turn a TimeoutError into an error of their own. What a task itself wants to become of
    it counts.
    """
    if told is None or isinstance(error, (Retry, Snooze, Discard)):
        return error
    if type(error) is not type(told):
        reason = type(told)(*told.args)
        reason.__cause__ = error
        return reason
    if not error.args:  # in a thread, CPython raises the class without the text
        error.args = told.args
    return error
