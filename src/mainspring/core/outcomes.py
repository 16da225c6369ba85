"""What becomes of a claimed job: pure decisions that take the moment as an argument."""

from functools import lru_cache
from typing import Final

from mainspring.core import codec, history
from mainspring.core.clock import SECOND
from mainspring.core.errors import TaskError
from mainspring.core.formats import aside_at
from mainspring.core.jobs import Job, Outcome, State
from mainspring.core.limits import has_rates
from mainspring.exceptions import DuplicateCall, OutcomeRefused, TaskCancelled, WorkerLost

MAX_CRASHES: Final = 3
"""How many workers a call may take down, where neither its task nor its backend says."""

_SUCCESSFUL: Final = State.SUCCESSFUL  # looked up on the enum, it takes 0.03 µs

_WORKER_LOST: Final = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"


def succeeded(
    job: Job, worker_id: str, started_at: int, finished_at: int, return_value: bytes | None
) -> Outcome:
    """The task returned ``return_value``."""
    # Outcome() itself, written in Python by NamedTuple, takes 0.3 µs more of 1.4.
    return tuple.__new__(
        Outcome,
        (
            job.id,
            job.claim or 0,
            _SUCCESSFUL,
            job.available_at,
            started_at if job.started_at is None else job.started_at,
            started_at,
            finished_at,
            _with_worker(job.worker_ids, worker_id),
            job.errors,
            return_value,
        ),
    )


def failed(
    job: Job,
    worker_id: str,
    started_at: int,
    finished_at: int,
    error: TaskError,
    retry_at: int | None = None,
) -> Outcome:
    """The task raised ``error``, or what it returned was not JSON; it may get another attempt."""
    state = State.FAILED
    if retry_at is not None:
        state = _state_before(job, retry_at > finished_at)
    return Outcome(
        job.id,
        job.claim or 0,
        state,
        job.available_at if retry_at is None else retry_at,
        started_at if job.started_at is None else job.started_at,
        started_at,
        finished_at if retry_at is None else None,
        _with_worker(job.worker_ids, worker_id),
        _with_error(job.errors, error, started_at, finished_at, worker_id),
        None,
    )


def failures_of(job: Job) -> int:
    """Return the number of attempts that failed because of the task itself."""
    return 0 if job.errors is None else history.failures_in(job.errors)


def snoozed(job: Job, now: int, after: int) -> Outcome:
    """The task asked to be called later: kept as it is, without an attempt."""
    return _kept(job, _state_before(job, after > 0), now + after)


def postponed(job: Job, now: int) -> Outcome:
    """The task's code is not there: kept as it is, to be tried again, without an attempt.

    The wait grows with the age of the job, from 5 seconds to 5 minutes.
    """
    wait = min(max((now - job.enqueued_at) // 4, 5 * SECOND), 300 * SECOND)
    return _kept(job, State.SCHEDULED, now + wait)


def set_aside(job: Job, needed: int) -> Outcome:
    """Return the outcome that keeps a job unchanged for a version that reads format ``needed``."""
    return _kept(job, State.SCHEDULED, aside_at(needed))


def lost(
    job: Job, worker_id: str, started_at: int, now: int, error: TaskError, max_crashes: int
) -> Outcome:
    """The worker died or was ended while it ran the job: ready again, with the error kept.

    At so many crashes (not: shutdowns) the job fails instead of taking down the next worker.
    """
    errors = _with_error(job.errors, error, started_at, now, worker_id)
    is_crash = error.exception_class_path == _WORKER_LOST
    gives_up = is_crash and history.crashes_in(errors) >= max_crashes
    return Outcome(
        job.id,
        job.claim or 0,
        State.FAILED if gives_up else _state_before(job, False),
        job.available_at,
        started_at if job.started_at is None else job.started_at,
        started_at,
        now if gives_up else None,
        _with_worker(job.worker_ids, worker_id),
        errors,
        None,
    )


def _state_before(job: Job, is_to_wait: bool) -> State:
    # A rate counts each start, so a job with a rate must be admitted again before it restarts.
    return State.SCHEDULED if is_to_wait or has_rates(job.limit_group) else State.READY


def refused(
    outcome: Outcome, reason: str, now: int, worker_id: str, keeps_history: bool
) -> Outcome:
    """Return the failed outcome that replaces an ``outcome`` that the store refused.

    It has neither history nor due time, in case the store refused these.
    """
    path = f"{OutcomeRefused.__module__}.{OutcomeRefused.__qualname__}"
    error = (path, f"{path}: {reason}\n", outcome.last_attempted_at, now, worker_id)
    return outcome._replace(
        state=State.FAILED,
        available_at=outcome.available_at if keeps_history else now,
        finished_at=outcome.finished_at or now,
        worker_ids=outcome.worker_ids if keeps_history else _only_worker(worker_id),
        errors=history.with_error(outcome.errors if keeps_history else None, error),
        return_value=None,
    )


def untouched(job: Job) -> Outcome:
    """Return the outcome of a claimed job that was not started: ready, as if never claimed."""
    return _kept(job, State.READY, job.available_at)


def _kept(job: Job, state: State, available_at: int) -> Outcome:
    return Outcome(
        job.id,
        job.claim or 0,
        state,
        available_at,
        job.started_at,
        job.last_attempted_at,
        None,
        job.worker_ids,
        job.errors,
        None,
    )


def cancelled_errors(stored: bytes | None, was_running: bool = False) -> bytes:
    """Return the errors of a job that is cancelled."""
    path = f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}"
    when = "while it ran" if was_running else "before it started"
    return history.with_error(stored, (path, f"{path}: cancelled {when}\n"))


def duplicate_errors(equal_id: str) -> bytes:
    """Return the errors of a job that is cancelled as an equal one stands for it."""
    path = f"{DuplicateCall.__module__}.{DuplicateCall.__qualname__}"
    why = f"the equal call {equal_id} was pending, and stands for this one"
    return codec.encode([(path, f"{path}: {why}\n")])


def _with_error(
    stored: bytes | None, error: TaskError, started_at: int, finished_at: int, worker_id: str
) -> bytes:
    return history.with_error(stored, (*error[:2], started_at, finished_at, worker_id))


def _with_worker(stored: bytes | None, worker_id: str) -> bytes:
    if stored is None:
        return _only_worker(worker_id)
    return history.with_worker(stored, worker_id)


@lru_cache(maxsize=16)
def _only_worker(worker_id: str) -> bytes:
    return codec.encode([worker_id])
