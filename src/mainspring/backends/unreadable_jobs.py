"""Decide what to do with a claimed job that this version, or any version, cannot read."""

import logging

from mainspring.core import outcomes
from mainspring.core.calls import describe
from mainspring.core.chunks import spec_of
from mainspring.core.formats import decoded, shown
from mainspring.core.jobs import Job, Outcome
from mainspring.core.limits import bounds_of
from mainspring.core.policy import carried_fields
from mainspring.exceptions import NewerFormat, Unreadable

logger = logging.getLogger("mainspring")


def problem_of(job: Job) -> Unreadable | None:
    """Return the error if this version cannot read the options or limits of a job, else None."""
    try:
        if job.options is not None:
            spec_of(job.options)
            carried_fields(job.options)
        if job.limit_group is not None:
            bounds_of(job.limit_group)
    except Unreadable as error:
        return error
    return None


def require_arguments(job: Job, error: BaseException) -> None:
    """Raise ``Unreadable`` if a single call raised ``error`` because its arguments are damaged."""
    if not isinstance(error, ValueError | TypeError | RecursionError):
        return
    args, kwargs = [*decoded(job.arguments, "arguments", list), None, None][:2]
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise Unreadable(f"The arguments cannot be read: {shown(job.arguments)}")


def put_aside(job: Job, worker_id: str, now: int, error: BaseException) -> Outcome:
    """Return the outcome of a row that cannot be run because of ``error``, and log it.

    A row written by a newer version is set aside for it, and not claimed again by this version. A
    damaged row fails for good.
    """
    extra = {"task_id": job.id, "task_path": job.task_path}
    if isinstance(error, NewerFormat):
        logger.warning(
            "Task id=%s path=%s is set aside: %s", job.id, job.task_path, error, extra=extra
        )
        return outcomes.set_aside(job, error.needed)
    logger.error(
        "Task id=%s path=%s has failed because it cannot be handled",
        job.id,
        job.task_path,
        exc_info=error,
        extra=extra,
    )
    return outcomes.failed(job, worker_id, now, now, describe(error))
