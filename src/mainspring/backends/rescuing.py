"""Decide what to do with the jobs of a lost worker. Other modules store it."""

from mainspring.backends.storage import LostWorker, Rescued
from mainspring.backends.unreadable_jobs import problem_of, put_aside
from mainspring.core import clock, outcomes
from mainspring.core.calls import describe
from mainspring.core.chunks import Division, spec_of
from mainspring.core.dividing import Reached, rescue_ended, rescue_row
from mainspring.core.errors import TaskError
from mainspring.core.failures import outcome_of_failure
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.policy import Policy, policy_of
from mainspring.exceptions import OutcomeLost, TaskTimeout, Unreadable


def rescue_from(
    job: Job, worker: Worker, lost: LostWorker, now: int, defaults: Policy
) -> tuple[Division, Rescued]:
    """Return the division and the report for a job that a lost worker had claimed.

    A row of a map may be divided into several rows; other jobs are not. Never raises: a damaged
    job must not stop the rescue of others.
    """
    try:
        return _rescued(job, worker, lost, now, defaults)
    except Exception as error:  # noqa: BLE001
        if lost.reached and not isinstance(error, Unreadable):  # perhaps the journal is damaged
            return rescue_from(job, worker, lost._replace(reached={}), now, defaults)
        outcome = put_aside(job, lost.worker_id, now, error)
        division, was_started = Division(job.arguments, (), (outcome,)), lost.has_started(job.id)
        return division, Rescued(
            job.id, job.task_path, worker.id, outcome.state, was_started, describe(error)
        )


def _rescued(
    job: Job, worker: Worker, lost: LostWorker, now: int, defaults: Policy
) -> tuple[Division, Rescued]:
    if (problem := problem_of(job)) is not None:
        raise problem
    policy, error = policy_of(defaults, job.task_path, job.options), lost.error
    overdue = None
    if job.id in lost.overdue:
        overdue = TaskTimeout(_overdue(policy, lost.overdue[job.id]))
        error = describe(overdue)
    spec = spec_of(job.options)
    if spec is not None and spec.has_chunks:
        division = _rescue_row(job, lost, now, error, policy, overdue)
    else:
        outcome, error = _rescue_call(job, lost, now, error, policy, overdue)
        division = Division(job.arguments, (), (outcome,))
    state, was_started = division.outcomes[0].state, lost.has_started(job.id)
    return division, Rescued(job.id, job.task_path, worker.id, state, was_started, error)


def _rescue_call(
    job: Job,
    lost: LostWorker,
    now: int,
    error: TaskError,
    policy: Policy,
    overdue: TaskTimeout | None,
) -> tuple[Outcome, TaskError]:
    started_at = lost.started.get(job.id, lost.started_at or now)
    if not lost.has_started(job.id):
        return outcomes.untouched(job), error
    if overdue is not None:
        outcome = outcome_of_failure(job, policy, lost.worker_id, started_at, now, overdue)
        return outcome, error
    if job.id in lost.ended:
        path = f"{OutcomeLost.__module__}.{OutcomeLost.__qualname__}"
        text = f"{path}: worker {lost.worker_id} died before it could store the outcome\n"
        error, started_at = TaskError(path, text), lost.ended[job.id]
    outcome = outcomes.lost(job, lost.worker_id, started_at, now, error, policy.max_crashes)
    return outcome, error


def _rescue_row(
    job: Job,
    lost: LostWorker,
    now: int,
    error: TaskError,
    policy: Policy,
    overdue: TaskTimeout | None,
) -> Division:
    reached = lost.reached.get(job.id)
    if job.id in lost.ended or not lost.has_started(job.id):
        # Calls with a recorded outcome count as run; all others were not started.
        started_at = lost.ended.get(job.id, now)
        return rescue_ended(job, lost.worker_id, reached or Reached(), started_at, now)
    started_at = lost.started.get(job.id, lost.started_at or now)
    return rescue_row(job, lost.worker_id, reached, started_at, now, error, policy, overdue)


def _overdue(policy: Policy, stack: str) -> str:
    limit = "" if policy.timeout is None else f" than {policy.timeout / clock.SECOND:g} s"
    text = f"The call took longer{limit} and did not end when told to; its process was killed."
    return f"{text} It was here:\n{stack}" if stack else text
