"""The rules by which a task's calls are run: whether they make sense, and what a call carries."""

import math
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.tasks.exceptions import InvalidTask

from mainspring.conf import QUEUE_NAME_RULE, Options, is_queue_name
from mainspring.core.gates import Gate, gate_of
from mainspring.core.limits import Limit, Rate
from mainspring.core.notes import encode_metadata
from mainspring.core.policy import fields_to_carry
from mainspring.core.retries import is_wait, problem_of
from mainspring.core.tasks import Task
from mainspring.core.unique import UNTIL
from mainspring.core.unique import problem_of as problem_of_unique

_LIMITS: Final = (
    ("concurrency", Limit, "Limit(3)"),
    ("rate", Rate, "Rate(100, per=60)"),
)


class Carried(NamedTuple):
    """What each call of a task carries."""

    options: bytes | None = None
    """JSON: see core/policy.py."""
    metadata: bytes | None = None
    """JSON."""
    gate: Gate | None = None
    """What tells which limits a call has to wait for; None for none."""


def validate_queue(name: Any, queues: Collection[str]) -> None:
    """Raise ``InvalidTask`` unless ``name`` is in ``queues``, or a valid name if that is empty."""
    if queues and not (isinstance(name, str) and name in queues):
        raise InvalidTask(f"Queue {name!r} is not valid for backend.")
    if not queues and not is_queue_name(name):
        raise InvalidTask(f"Queue {name!r} is not valid for backend: {QUEUE_NAME_RULE}.")


def carried_by(task: Task[..., Any], options: Options) -> Carried:
    """Return what each call of ``task`` carries on a backend with these options.

    Raises ``InvalidTask``, naming the field, where a rule makes no sense.
    """
    _validate_counts(task)
    _validate_unique(task)
    _validate_limits(task)
    if task.backoff is not None and (problem := problem_of(task.backoff)):
        raise InvalidTask(f"backoff must be {problem}, not {task.backoff!r}.")
    if task.timeout is not None and not _is_timeout(task.timeout):
        raise InvalidTask(
            "timeout must be a number of seconds above 0, a timedelta, or math.inf for none, not "
            f"{task.timeout!r}."
        )
    metadata = None
    if task.metadata is not None:
        if not isinstance(task.metadata, Mapping):
            raise InvalidTask(f"metadata must be a dict, not {task.metadata!r}.")
        try:
            metadata = encode_metadata(task.metadata, options.max_payload)
        except (TypeError, ValueError) as error:
            raise InvalidTask(str(error)) from error
    try:
        stored = fields_to_carry(task)
    except TypeError as error:
        raise InvalidTask(str(error)) from error
    return Carried(stored, metadata, gate_for(task, options))


def gate_for(task: Task[..., Any], options: Options) -> Gate | None:
    """Return what calls of ``task`` have to pass, which may be one of Django's own.

    Raises ``InvalidTask``, naming the limit, where its key does not fit the task.
    """
    try:
        return gate_of(task, options.queue_limits.get(task.queue_name, ()))
    except ValueError as error:
        raise InvalidTask(str(error)) from error


def _validate_counts(task: Task[..., Any]) -> None:
    for name in ("max_attempts", "max_crashes"):
        value = getattr(task, name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidTask(f"{name} must be a whole number of at least 1, not {value!r}.")
    if not isinstance(task.atomic, bool):
        raise InvalidTask(f"atomic must be True or False, not {task.atomic!r}.")


def _validate_unique(task: Task[..., Any]) -> None:
    if problem := problem_of_unique(task):
        raise InvalidTask(problem)
    if task.unique_for is not None and not _is_duration(task.unique_for):
        raise InvalidTask(
            "unique_for must be a number of seconds above 0 or a timedelta, not "
            f"{task.unique_for!r}."
        )
    if task.unique_until not in tuple(UNTIL):
        raise InvalidTask(f"unique_until must be 'start' or 'end', not {task.unique_until!r}.")


def _validate_limits(task: Task[..., Any]) -> None:
    for name, kind, such_as in _LIMITS:
        value = getattr(task, name)
        if value is not None and not isinstance(value, kind):
            raise InvalidTask(
                f"{name} must be a {kind.__name__} such as {such_as}, or None, not {value!r}."
            )


def _is_timeout(timeout: Any) -> bool:
    return timeout == math.inf or _is_duration(timeout)


def _is_duration(value: Any) -> bool:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return is_wait(seconds) and seconds > 0
