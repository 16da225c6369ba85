"""What becomes of a claimed job: pure decisions that take the moment as an argument."""

from functools import lru_cache
from typing import Final

from mainspring.core import codec
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, Outcome, State
from mainspring.core.results import TaskError
from mainspring.exceptions import TaskCancelled, WorkerLost

MAX_CRASHES: Final = 3
"""After so many workers died running it, a job fails instead of taking down the next one."""

_WORKER_LOST: Final = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"


def succeeded(
    job: Job, worker_id: str, started_at: int, finished_at: int, return_value: bytes | None
) -> Outcome:
    """The task returned ``return_value``."""
    return Outcome(
        job.id,
        job.claim or 0,
        State.SUCCESSFUL,
        job.available_at,
        started_at if job.started_at is None else job.started_at,
        started_at,
        finished_at,
        _with_worker(job.worker_ids, worker_id),
        job.errors,
        return_value,
    )


def failed(
    job: Job, worker_id: str, started_at: int, finished_at: int, error: TaskError
) -> Outcome:
    """The task raised ``error``, or what it returned was not JSON."""
    return Outcome(
        job.id,
        job.claim or 0,
        State.FAILED,
        job.available_at,
        started_at if job.started_at is None else job.started_at,
        started_at,
        finished_at,
        _with_worker(job.worker_ids, worker_id),
        _with_error(job.errors, error),
        None,
    )


def postponed(job: Job, now: int) -> Outcome:
    """The task's code is not there: kept as it is, to be tried again, without an attempt.

    The wait grows with the age of the job, from 5 seconds to 5 minutes.
    """
    wait = min(max((now - job.enqueued_at) // 4, 5 * SECOND), 300 * SECOND)
    return Outcome(
        job.id,
        job.claim or 0,
        State.SCHEDULED,
        now + wait,
        job.started_at,
        job.last_attempted_at,
        None,
        job.worker_ids,
        job.errors,
        None,
    )


def lost(job: Job, worker_id: str, started_at: int, now: int, error: TaskError) -> Outcome:
    """The worker died or was ended while it ran the job: ready again, with the error kept.

    At the third crash (not: shutdown) the job fails.
    """
    errors = _with_error(job.errors, error)
    crashes = sum(path == _WORKER_LOST for path, _ in codec.decode(errors))
    gives_up = crashes >= MAX_CRASHES
    return Outcome(
        job.id,
        job.claim or 0,
        State.FAILED if gives_up else State.READY,
        job.available_at,
        started_at if job.started_at is None else job.started_at,
        started_at,
        now if gives_up else None,
        _with_worker(job.worker_ids, worker_id),
        errors,
        None,
    )


def untouched(job: Job) -> Outcome:
    """The job was claimed and not started: ready again, as if it had not been claimed."""
    return Outcome(
        job.id,
        job.claim or 0,
        State.READY,
        job.available_at,
        job.started_at,
        job.last_attempted_at,
        None,
        job.worker_ids,
        job.errors,
        None,
    )


def cancelled_errors(stored: bytes | None) -> bytes:
    """Return the errors of a job that is cancelled before it started."""
    path = f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}"
    return _with_error(stored, TaskError(path, f"{path}: cancelled before it started\n"))


def _with_error(stored: bytes | None, error: TaskError) -> bytes:
    return codec.encode([*([] if stored is None else codec.decode(stored)), tuple(error)])


def _with_worker(stored: bytes | None, worker_id: str) -> bytes:
    if stored is None:
        return _only_worker(worker_id)
    return codec.encode([*codec.decode(stored), worker_id])


@lru_cache(maxsize=16)
def _only_worker(worker_id: str) -> bytes:
    return codec.encode([worker_id])
