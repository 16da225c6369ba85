"""Failures: what becomes of a call that raised. Decided here, stored elsewhere."""

from mainspring.core import clock, outcomes
from mainspring.core.calls import describe
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Job, Outcome
from mainspring.core.policy import Policy
from mainspring.core.results import TaskResult
from mainspring.core.retries import is_wait, require_wait, wait_after
from mainspring.exceptions import Discard, Retry, Snooze, TaskCancelled

_FINAL = (Discard, TaskCancelled)


def outcome_of_failure(
    job: Job, policy: Policy, worker_id: str, started_at: int, now: int, raised: BaseException
) -> Outcome:
    """Return the outcome of an attempt that ended with ``raised``.

    If the policy allows another attempt, the task's backoff decides when. If the backoff itself
    raises, the call fails for good, and its error shows both exceptions.
    """
    if isinstance(raised, Snooze) and is_wait(
        raised.after
    ):  # its delay may have been changed since
        return outcomes.snoozed(job, now, clock.in_microseconds(raised.after))
    failures, error = outcomes.failures_of(job) + 1, describe(raised)
    last = outcomes.failed(job, worker_id, started_at, now, error)
    if isinstance(raised, _FINAL) or failures >= policy.max_attempts:
        return last
    try:
        wait = _wait(job, policy, last, raised, failures)
    except BaseException as another:  # noqa: BLE001 # whatever the task's own backoff raises
        return outcomes.failed(job, worker_id, started_at, now, _both(error, describe(another)))
    if wait is None:
        return last
    return outcomes.failed(job, worker_id, started_at, now, error, now + wait)


def _wait(
    job: Job, policy: Policy, last: Outcome, raised: BaseException, failures: int
) -> int | None:
    cause = raised
    if isinstance(raised, Retry):
        if raised.after is not None:
            return require_wait(raised.after, "A Retry that was changed")
        cause = raised.__cause__ or raised
    result: TaskResult[object] = TaskResult.from_job(job._replace(**last._asdict()))
    return wait_after(policy.backoff, cause, result, failures)


def _both(error: TaskError, another: TaskError) -> TaskError:
    if error.traceback in another.traceback:  # as its context
        return another
    text = f"{error.traceback}\nAsked how long to wait after this, the backoff raised:\n\n"
    return another._replace(traceback=text + another.traceback)
