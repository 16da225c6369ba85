"""Runs one job and says what came of it; settles nothing."""

import asyncio
import contextvars
import logging
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any

from django.tasks import TaskResultStatus, task_backends

from mainspring import signals
from mainspring.backends.base import MainspringBackend
from mainspring.core import clock, codec, outcomes, registry
from mainspring.core.calls import Call, describe
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.results import TaskContext, TaskResult
from mainspring.exceptions import TaskNotFound
from mainspring.runtime.board import Board, NoBoard
from mainspring.runtime.isolation import (
    Surroundings,
    atidy_connections,
    has_connections,
    tidy_connections,
)

logger = logging.getLogger("mainspring")

_MISSING_FOR: int = 5 * SECOND  # until code that was not there is looked for again
_TOLD_EVERY: int = 60 * SECOND


class Executor:
    """Runs jobs for one worker, in any of its threads."""

    def __init__(self, backend: MainspringBackend, worker: Worker, board: Board | NoBoard) -> None:
        self._backend = type(backend)
        self._alias = backend.alias
        self._max_payload = backend.config.options.max_payload
        self._worker = worker
        self._board = board
        self._surroundings = Surroundings()
        self._calls: dict[str, Call] = {}
        self._missing: dict[str, tuple[int, str]] = {}
        self._told: dict[str, int] = {}
        # So that tasks find the process's backends in their contexts, and do not build new ones.
        task_backends[self._alias]
        self._context = contextvars.copy_context()
        self.listen()

    def listen(self) -> None:
        """Look anew who listens to signals; done once a claim, as it takes 1 µs."""
        self._tells_started = signals.is_heard(signals.task_started)
        self._tells_finished = signals.is_heard(signals.task_finished)
        self._tells_failed = signals.is_heard(signals.task_finished, failed=True)

    def knows_async_tasks(self) -> bool:
        """Whether any declared task is a coroutine function."""
        return any(iscoroutinefunction(task.func) for task in registry.tasks())

    def is_async(self, job: Job) -> bool:
        """Whether the job's task is a coroutine function; False where its code is not there."""
        try:
            return self._call_of(job.task_path).is_async
        except TaskNotFound:
            return False

    def execute(self, job: Job) -> Outcome:
        """Run a job of a sync task in this thread; raises nothing."""
        call = self._prepare(job)
        if call is None:
            return outcomes.postponed(job, clock.now())
        if has_connections():
            tidy_connections()
        started_at = clock.now()
        self._board.start(job.id, started_at)
        try:
            args, kwargs = codec.decode_call(job.arguments)
            if self._tells_started or call.takes_context:
                running = self._running(job, started_at)
                if self._tells_started:
                    signals.task_started.send_robust(self._backend, task_result=running)
                if call.takes_context:
                    args = [TaskContext(running), *args]
            value = self._context.copy().run(call.func, *args, **kwargs)
            outcome = self._succeeded(job, started_at, value)
        except BaseException as error:  # noqa: BLE001 # a task may raise SystemExit and the like
            self._surroundings.restore()  # telling of the error takes the usual recursion limit
            outcome = self._failed(job, started_at, error)
            # In here, so that the log gets the traceback.
            self._tell_finished(job, outcome, self._tells_failed)
        else:
            self._tell_finished(job, outcome, self._tells_finished)
        self._board.end(job.id)
        self._surroundings.restore()
        if has_connections():
            tidy_connections()
        return outcome

    async def aexecute(self, job: Job) -> Outcome:
        """Run a job of an async task in this event loop; raises nothing."""
        call = self._prepare(job)
        if call is None:
            return outcomes.postponed(job, clock.now())
        started_at = clock.now()
        self._board.start(job.id, started_at)
        try:
            await atidy_connections()
            args, kwargs = codec.decode_call(job.arguments)
            if self._tells_started or call.takes_context:
                running = self._running(job, started_at)
                if self._tells_started:
                    await signals.task_started.asend_robust(self._backend, task_result=running)
                if call.takes_context:
                    args = [TaskContext(running), *args]
            value = await call.func(*args, **kwargs)
            outcome = self._succeeded(job, started_at, value)
        except BaseException as error:  # noqa: BLE001
            self._surroundings.restore()
            outcome = self._failed(job, started_at, error)
            await self._atell_finished(job, outcome, self._tells_failed)
        else:
            await self._atell_finished(job, outcome, self._tells_finished)
        self._board.end(job.id)
        self._surroundings.restore()
        with suppress(asyncio.CancelledError):  # by the task itself
            await atidy_connections()
        return outcome

    def _call_of(self, path: str) -> Call:
        call = self._calls.get(path)
        if call is None:
            missing = self._missing.get(path)
            if missing is not None and clock.now() < missing[0]:
                raise TaskNotFound(missing[1])
            try:
                call = Call.of(registry.resolve(path))
            except TaskNotFound as error:
                self._missing[path] = (clock.now() + _MISSING_FOR, str(error))
                raise
            self._calls[path] = call
        return call

    def _prepare(self, job: Job) -> Call | None:
        try:
            return self._call_of(job.task_path)
        except TaskNotFound as error:
            now = clock.now()
            if now >= self._told.get(job.task_path, 0):
                self._told[job.task_path] = now + _TOLD_EVERY
                logger.warning(
                    "Task id=%s path=%s is kept and will be tried again: %s",
                    job.id,
                    job.task_path,
                    error,
                    extra={"task_id": job.id, "task_path": job.task_path},
                )
            return None

    def _running(self, job: Job, started_at: int) -> TaskResult[Any]:
        moment = clock.to_datetime(started_at)
        result: TaskResult[Any] = TaskResult.from_job(job)
        return result._replace(
            status=TaskResultStatus.RUNNING,
            started_at=result.started_at or moment,
            last_attempted_at=moment,
            worker_log=(*result.worker_log, self._worker.id),
        )

    def _tell_finished(self, job: Job, outcome: Outcome, is_heard: bool) -> None:
        if not is_heard:
            return
        try:
            signals.task_finished.send_robust(self._backend, task_result=_result_of(job, outcome))
        except BaseException as error:  # noqa: BLE001 # the task is over, whatever a receiver does
            _log_receiver(job, error)

    async def _atell_finished(self, job: Job, outcome: Outcome, is_heard: bool) -> None:
        if not is_heard:
            return
        # A task may cancel the very asyncio task that it runs in: no reason to lose its outcome.
        with suppress(asyncio.CancelledError):
            try:
                result = _result_of(job, outcome)
                await signals.task_finished.asend_robust(self._backend, task_result=result)
            except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
                _log_receiver(job, error)

    def _succeeded(self, job: Job, started_at: int, value: Any) -> Outcome:
        returned = None if value is None else codec.encode_value(value, self._max_payload)
        return outcomes.succeeded(job, self._worker.id, started_at, clock.now(), returned)

    def _failed(self, job: Job, started_at: int, error: BaseException) -> Outcome:
        return outcomes.failed(job, self._worker.id, started_at, clock.now(), describe(error))


def _log_receiver(job: Job, error: BaseException) -> None:
    # send_robust() itself logs an Exception; this is for what is none.
    logger.error(
        "A receiver of task_finished raised",
        exc_info=error,
        extra={"task_id": job.id, "task_path": job.task_path},
    )


def _result_of(job: Job, outcome: Outcome) -> TaskResult[Any]:
    return TaskResult.from_job(job._replace(**outcome._asdict()))
