"""Runs one job and returns its outcome, without settling it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, overload

from django.tasks import task_backends

from mainspring.backends.base import MainspringBackend
from mainspring.backends.unreadable_jobs import put_aside, require_arguments
from mainspring.core import clock, codec, outcomes
from mainspring.core.calls import Call, let_go
from mainspring.core.chunks import spec_of
from mainspring.core.context import TaskContext
from mainspring.core.failures import outcome_of_failure
from mainspring.core.harmless import is_harmless
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.policy import Policy
from mainspring.exceptions import Discard, Retry, Snooze, StoreUnavailable, Unreadable
from mainspring.runtime.board import Board, NoBoard, ticks
from mainspring.runtime.guard import Guard
from mainspring.runtime.isolation import (
    Surroundings,
    apart,
    atidy_connections,
    close_connections,
    context_for_tasks,
    expect_tasks,
    has_connections,
    prepare_connections,
    tidy_connections,
    using_sync_thread,
)
from mainspring.runtime.known_tasks import KnownTasks
from mainspring.runtime.running_notes import RunningNotes
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
        """Without a ``guard``, tasks are not interrupted."""
        self.telling = TaskSignals(type(backend), worker.id)
        self._storage = backend.storage
        self._guard = guard or Guard(board)
        self._alias = backend.alias
        self._max_payload = backend.config.options.max_payload
        self.notes = RunningNotes(self._storage, self._guard, self._max_payload)
        self._worker = worker
        self._board = board
        self._surroundings = Surroundings()
        self.atomic: Atomic | None = None
        """Runs atomic tasks."""
        self.rows: RowRunner | None = None
        """Runs the rows of maps."""
        # So that tasks find the process's backends in their contexts, and do not build new ones.
        task_backends[self._alias]
        self._context = context_for_tasks()
        self.tasks = KnownTasks(
            backend.config.options.policy,
            self._storage.get_results,
            partial(apart, context=self._context, surroundings=self._surroundings),
        )
        self.listen()
        expect_tasks()

    def listen(self) -> None:
        """Check again which signals have receivers; once per claim, as it takes 1 µs."""
        self.telling.listen()

    @overload
    def execute(self, job: Job) -> Outcome | None: ...
    @overload
    def execute(self, job: Job, within: "Within") -> Outcome: ...
    def execute(  # noqa: C901 # another function would add 0.05 µs to each call
        self, job: Job, within: "Within | None" = None
    ) -> Outcome | None:
        """Run a job of a sync task in this thread; never raises the task's exceptions.

        Returns None if the outcome is settled elsewhere: that of an atomic task, unless this runs
        it ``within`` a transaction, and that of a map's row whose calls had different outcomes.
        """
        try:
            call = self.tasks.find(job)
            if call is None:
                return outcomes.postponed(job, clock.now())
            policy = self.tasks.policy_of(job)
            is_plain = within is not None or (job.options is None and not policy.atomic)
            run = None if is_plain else self._other_way(job, call, policy)
        except Exception as error:  # noqa: BLE001 # the stored job is invalid
            return self._given_up(job, error, within)
        if run is not None:
            return self._run_otherwise(job, run, within)
        # An error while tidying, here or below, belongs to no call: the process must end.
        if has_connections():
            self._tidy_before(within)
        guard, timeout = self._guard, policy.timeout or 0
        started_at, began = clock.now(), monotonic_ns() // 1000
        self._board.start(job.id, started_at, began, timeout)
        told: BaseException | None = None
        ended: _Ended | None = None
        try:
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
                job, outcome = self._succeeded(job, started_at, value, told)
            except BaseException as error:  # noqa: BLE001 # a task may raise SystemExit and the like
                # Inside the except block, so that the log has the traceback.
                outcome, ended = self._raised(job, policy, started_at, error, told, within)
            else:
                is_heard = within is None and self.telling.hears_finished
                self.telling.tell_finished(job, outcome, is_heard)
        except BaseException as error:  # noqa: BLE001 # not from the task: ours, or an invalid job
            outcome = self._given_up(job, error, within)
        self._board.end(job.id)
        if not self._leaves_nothing(call):
            self._surroundings.restore()
        if ended is not None or has_connections():
            self._tidy_after(within, ended)
        return outcome

    def _run_otherwise(
        self, job: Job, run: Callable[[], Outcome | None], within: "Within | None"
    ) -> Outcome | None:
        try:
            return run()
        except Unreadable as error:
            return self._given_up(job, error, within)

    def _raised(
        self,
        job: Job,
        policy: Policy,
        started_at: int,
        error: BaseException,
        told: BaseException | None,
        within: "Within | None",
    ) -> "tuple[Outcome, _Ended]":
        require_arguments(job, error)
        # The exception may have been raised while the guard was left.
        told = self._guard.leave(job.id) or told
        reason = reason_of(error, told)
        self._surroundings.restore()  # describing the error needs the usual recursion limit
        if told is not None:
            self.close_interrupted(within)
        if self.notes.by_job:
            job = self.notes.end_failed(job)
        outcome = self._failed(job, policy, started_at, reason)
        if within is None:
            self.telling.tell_ended(job, outcome, reason)
        else:
            within.error = reason
        return outcome, (reason, told)

    def _given_up(self, job: Job, error: BaseException, within: "Within | None" = None) -> Outcome:
        # Only this call fails for good. If the worker died, other calls would be affected.
        is_started = self._board.started(job.id) is not None
        if isinstance(error, StoreUnavailable) and not is_started:
            return outcomes.untouched(job)
        self._guard.leave(job.id)
        self.notes.forget(job)
        if is_started:
            self._board.end(job.id)
        self._surroundings.restore()
        if within is not None:
            within.error = error
        return put_aside(job, self._worker.id, clock.now(), error)

    def _other_way(
        self, job: Job, call: Call, policy: Policy
    ) -> Callable[[], Outcome | None] | None:
        # Return how to run a row of a map, or an atomic task; None for other jobs.
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
            self.commit()  # this task must not write in the transaction of earlier ones
        prepare_connections(None if within is None else within.alias)

    def _leaves_nothing(self, call: Call) -> bool:
        telling = self.telling
        is_heard = telling.hears_each_started or telling.hears_each_finished
        return not is_heard and is_harmless(call.func)

    def close_interrupted(self, within: "Within | None" = None) -> None:
        """Close the database connections of this thread, because a call was interrupted."""
        self._storage.close_thread()
        if within is not None:
            within.was_interrupted = True
        close_connections(None if within is None else within.alias)

    def _tidy_after(self, within: "Within | None", ended: "_Ended | None") -> None:
        if has_connections():
            tidy_connections(None if within is None else within.alias)
        if ended is not None and within is None:  # else it is reported later
            _let_go(ended)

    def commit(self) -> None:
        """Settle the atomic tasks that share a transaction in this thread, if any."""
        if self.atomic is not None:
            self.atomic.commit()

    def fail(self, job: Job, started_at: int, error: BaseException) -> Outcome:
        """Return the outcome of an attempt that failed outside its task, or after it."""
        policy, now = self.tasks.policy_of(job), clock.now()
        return outcome_of_failure(job, policy, self._worker.id, started_at, now, error)

    def call_hooks(self, job: Job, hooks: "Hooks") -> None:
        """Call the functions that a task gave to ``on_commit()``; never raises."""
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
        """Run a job of an async task in this event loop; never raises the task's exceptions."""
        with using_sync_thread():
            return await self._aexecute(job)

    async def _aexecute(self, job: Job) -> Outcome:
        try:
            call = self.tasks.find(job)
            if call is None:
                return outcomes.postponed(job, clock.now())
            policy = self.tasks.policy_of(job)
        except Exception as error:  # noqa: BLE001 # the stored job is invalid
            return self._given_up(job, error)
        started_at, began, timeout = clock.now(), ticks(), policy.timeout or 0
        self._board.start(job.id, started_at, began, timeout)
        told: BaseException | None = None
        ended: _Ended | None = None
        steps: Steps | None = None
        try:
            try:
                steps = await self._abegin(job, call, started_at)
                self._guard.enter(job, began, timeout, steps.tell)
                try:
                    value = await steps
                finally:
                    told = self._guard.leave(job.id)
                if told is None:
                    job = await self.notes.aend(job)
                job, outcome = self._succeeded(job, started_at, value, told)
            except BaseException as error:  # noqa: BLE001
                if steps is None and isinstance(error, asyncio.CancelledError):
                    return self._unbegun(job)  # cancelled by another task
                require_arguments(job, error)
                reason = reason_of(error, told)
                ended = reason, told
                self._surroundings.restore()
                job = await self.notes.aend_failed(job)
                outcome = self._failed(job, policy, started_at, reason)
                await self.telling.atell_ended(job, outcome, reason)
            else:
                await self.telling.atell_finished(job, outcome, self.telling.hears_finished)
        except BaseException as error:  # noqa: BLE001 # as for execute()
            outcome = self._given_up(job, error)
        self._board.end(job.id)
        self._surroundings.restore()
        with suppress(asyncio.CancelledError):  # by the task itself
            await atidy_connections()
        if ended is not None:
            _let_go(ended)
        return outcome

    async def _abegin(self, job: Job, call: Call, started_at: int) -> Steps:
        await atidy_connections(is_before=True)
        args, kwargs = codec.decode_call(job.arguments)
        if self.telling.hears_started or call.takes_context:
            running = self.telling.running(job, started_at)
            if self.telling.hears_started:
                await self.telling.atell_started(running)
            if call.takes_context:
                args = [TaskContext(running, self.notes.new(job)), *args]
        return Steps(call.func(*args, **kwargs), partial(self._board.step, job.id))

    def _unbegun(self, job: Job) -> Outcome:
        self.notes.forget(job)
        self._board.end(job.id)
        return outcomes.untouched(job)

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
                args = [TaskContext(running, self.notes.new(job, within)), *args]
        return args, kwargs

    def _succeeded(
        self, job: Job, started_at: int, value: Any, told: BaseException | None
    ) -> tuple[Job, Outcome]:
        # Also return the job with its saved metadata.
        if told is not None:
            raise told  # it was interrupted: what it returned came too late
        returned = None if value is None else codec.encode_value(value, self._max_payload)
        if self.notes.by_job:
            job = self.notes.end(job)
        outcome = outcomes.succeeded(job, self._worker.id, started_at, clock.now(), returned)
        return job, outcome

    def _failed(self, job: Job, policy: Policy, started_at: int, error: BaseException) -> Outcome:
        now = clock.now()
        return outcome_of_failure(job, policy, self._worker.id, started_at, now, error)


type _Ended = tuple[BaseException, BaseException | None]
"""The error of an attempt, and the exception that we raised in it, if any."""


def _let_go(ended: _Ended) -> None:
    for error in ended:
        if error is not None:
            let_go(error)


def reason_of(error: BaseException, told: BaseException | None) -> BaseException:
    """Return the exception that we raised in an attempt (``told``), if any; else its ``error``.

    Needed because drivers turn a TimeoutError into an error of their own. A Retry, Snooze or
    Discard of the task takes precedence.
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
