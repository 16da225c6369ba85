"""Send the signals of the calls that a worker runs, if there are receivers."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from django.dispatch import Signal
from django.tasks import TaskResultStatus

from mainspring import signals
from mainspring.core import clock
from mainspring.core.jobs import Job, Outcome, State
from mainspring.core.results import TaskResult
from mainspring.exceptions import Snooze, TaskTimeout

logger = logging.getLogger("mainspring")


class TaskSignals:
    """The signals of one worker's calls."""

    def __init__(self, backend: type, worker_id: str) -> None:
        """``backend`` is the sender of the signals."""
        self.backend = backend
        self._worker_id = worker_id
        self.listen()

    def listen(self) -> None:
        """Check again which signals have receivers."""
        self.hears_started = signals.is_heard(signals.task_started)
        """Whether there are receivers for the starts of calls."""
        self.hears_finished = signals.is_heard(signals.task_finished)
        """Whether there are receivers for the ends of calls that return."""
        self.hears_failed = signals.is_heard(signals.task_finished, failed=True)
        """Whether there are receivers for the ends of calls that fail for good."""
        self.hears_each_started = signals.is_received(signals.task_started)
        """Whether there are receivers for the starts of a map's single calls. Django's log is not
        one, because it would be flooded."""
        self.hears_each_finished = signals.is_received(signals.task_finished)
        """Whether there are receivers for a map's single calls that return."""

    def tell_started(self, result: TaskResult[Any]) -> None:
        """Send the signal for the start of a call."""
        signals.task_started.send_robust(self.backend, task_result=result)

    async def atell_started(self, result: TaskResult[Any]) -> None:
        """See :meth:`tell_started`."""
        await signals.task_started.asend_robust(self.backend, task_result=result)

    def tell(self, job: Job, outcome: Outcome, error: BaseException | None) -> None:
        """Send the signals for the end of an attempt; ``error`` is what it raised, if anything."""
        if error is None:
            self.tell_finished(job, outcome, self.hears_finished)
            return
        try:
            raise error  # noqa: TRY301 # so that the log gets the traceback
        except BaseException as raised:  # noqa: BLE001
            self.tell_ended(job, outcome, raised)
        finally:
            del error  # its traceback now refers to this frame

    def running(self, job: Job, started_at: int) -> TaskResult[Any]:
        """Return the result of a call that starts."""
        moment = clock.to_datetime(started_at)
        result: TaskResult[Any] = TaskResult.from_job(job)
        return result._replace(
            status=TaskResultStatus.RUNNING,
            started_at=result.started_at or moment,
            last_attempted_at=moment,
            worker_log=(*result.worker_log, self._worker_id),
        )

    def tell_ended(self, job: Job, outcome: Outcome, error: BaseException) -> None:
        try:
            for signal, details in _details(job, outcome, error):
                if signal.receivers:
                    signal.send_robust(self.backend, details=details)
        except BaseException as raised:  # noqa: BLE001 # the outcome stands, whatever a receiver does
            _log_receiver(job, raised)
        if outcome.state >= State.SUCCESSFUL:
            self.tell_finished(job, outcome, self.hears_failed)

    async def atell_ended(self, job: Job, outcome: Outcome, error: BaseException) -> None:
        with suppress(asyncio.CancelledError):
            try:
                for signal, details in _details(job, outcome, error):
                    if signal.receivers:
                        await signal.asend_robust(self.backend, details=details)
            except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as raised:  # noqa: BLE001
                _log_receiver(job, raised)
        if outcome.state >= State.SUCCESSFUL:
            await self.atell_finished(job, outcome, self.hears_failed)

    def tell_finished(self, job: Job, outcome: Outcome, is_heard: bool) -> None:
        if not is_heard:
            return
        try:
            signals.task_finished.send_robust(self.backend, task_result=_result_of(job, outcome))
        except BaseException as error:  # noqa: BLE001 # the task is over, whatever a receiver does
            _log_receiver(job, error)

    async def atell_finished(self, job: Job, outcome: Outcome, is_heard: bool) -> None:
        if not is_heard:
            return
        # A task may cancel the very asyncio task that it runs in: no reason to lose its outcome.
        with suppress(asyncio.CancelledError):
            try:
                result = _result_of(job, outcome)
                await signals.task_finished.asend_robust(self.backend, task_result=result)
            except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # noqa: BLE001
                _log_receiver(job, error)


def _details(
    job: Job, outcome: Outcome, error: BaseException
) -> Iterator[tuple[Signal, NamedTuple]]:
    # What Django has no signals for.
    result = _result_of(job, outcome)
    if isinstance(error, TaskTimeout) and result.error_log:
        yield signals.task_timed_out, signals.TimedOut(result, result.error_log[-1])
    if outcome.state < State.SUCCESSFUL and not isinstance(error, Snooze) and result.error_log:
        yield (
            signals.task_retried,
            signals.Retried(result, result.error_log[-1], clock.to_datetime(outcome.available_at)),
        )


def _log_receiver(job: Job, error: BaseException) -> None:
    # send_robust() itself logs an Exception; this is for what is none.
    logger.error(
        "A receiver of a task's signal raised",
        exc_info=error,
        extra={"task_id": job.id, "task_path": job.task_path},
    )


def _result_of(job: Job, outcome: Outcome) -> TaskResult[Any]:
    return TaskResult.from_job(job._replace(**outcome._asdict()))
