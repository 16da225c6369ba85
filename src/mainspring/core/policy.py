"""Policy: how the calls of a task are to be run, after all defaults."""

import math
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mainspring.core import clock, codec, registry, retries
from mainspring.core.formats import options_in, unknown
from mainspring.core.retries import Backoff
from mainspring.core.tasks import Task
from mainspring.exceptions import TaskNotFound, Unreadable

STORED: Final = ("max_attempts", "backoff", "timeout", "max_crashes", "atomic")
"""The fields of a task that ``using()`` may change for one call, which then carries them."""


class Policy(NamedTuple):
    """What a worker goes by. Durations are in microseconds."""

    max_attempts: int
    backoff: Backoff
    timeout: int | None
    """None: for as long as it takes."""
    max_crashes: int
    atomic: bool = False

    def with_fields_of(self, task: Task[..., Any], stored: bytes | None = None) -> "Policy":
        """Return the policy of a task, or of the call of it that carries the ``stored`` fields."""
        fields = {name: getattr(task, name, None) for name in STORED}
        if stored is not None:
            fields.update(carried_fields(stored))
        return self._with(fields)

    def with_carried_fields(self, stored: bytes | None) -> "Policy":
        """Return the policy of a call whose task is not there."""
        return self if stored is None else self._with(carried_fields(stored))

    def _with(self, fields: Mapping[str, Any]) -> "Policy":
        timeout = fields.get("timeout")
        changes = {name: value for name, value in fields.items() if value is not None}
        if timeout is not None:
            seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
            changes["timeout"] = None if seconds == math.inf else clock.in_microseconds(seconds)
        return self._replace(**changes)


def fields_to_carry(task: Task[..., Any]) -> bytes | None:
    """Return the fields that a call of ``task`` has to carry, as it is not as it was declared.

    Raises ``TypeError`` for a function as a backoff, which only a declaration can have.
    """
    declared = registry.original(task.module_path, task)
    if declared is None or declared is task:
        return None
    fields = {}
    for name in STORED:
        value = getattr(task, name, None)
        if value == getattr(declared, name, None):
            continue
        if name == "backoff" and value is not None:
            try:
                value = retries.to_json(value)
            except TypeError:
                raise TypeError(
                    f"The backoff of {task.module_path} is a function: declare it with @task, as "
                    "a call cannot carry it."
                ) from None
        elif name == "timeout" and value is not None:
            value = _seconds(value)
        fields[name] = value
    return codec.encode(fields) if fields else None


@lru_cache(maxsize=1024)
def carried_fields(stored: bytes) -> Mapping[str, Any]:
    """Return the fields that :func:`fields_to_carry` encoded as ``stored``.

    None for a field means the backend's default. Raises ``Unreadable``, or ``NewerFormat`` if a
    newer version has written them.
    """
    fields = {n: value for n, value in options_in(stored).items() if not n.startswith("_")}
    for name, value in fields.items():
        if name not in STORED:
            raise unknown(f"The field {name!r} of the options")
        if value is not None:
            fields[name] = _carried(name, value)
    return MappingProxyType(fields)


def _carried(name: str, value: Any) -> Any:
    if name == "backoff":
        return retries.from_json(value)
    if name == "timeout":
        value = math.inf if value == _NEVER else value
        fits = value == math.inf or (retries.is_wait(value) and value > 0)
    elif name == "atomic":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not fits:
        raise Unreadable(f"The options have an invalid {name}: {value!r:.99}.")
    return value


def policy_of(defaults: Policy, task_path: str, stored: bytes | None) -> Policy:
    """Return the policy of a call, whether or not its task's code is there."""
    try:
        task = registry.resolve(task_path)
    except TaskNotFound:
        return defaults.with_carried_fields(stored)
    return defaults.with_fields_of(task, stored)


_NEVER: Final = "never"  # JSON has no infinity


def _seconds(timeout: float | timedelta) -> float | str:
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    return _NEVER if timeout == math.inf else timeout
