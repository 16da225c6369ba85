"""The decorators ``cron()`` and ``every()``: put a schedule on a task."""

from collections.abc import Mapping, Sequence
from datetime import timedelta, tzinfo
from typing import Any, Final, Protocol, cast

import django.tasks

from mainspring.core import registry
from mainspring.core.crons import Cron, Timing, every_of
from mainspring.core.declarations import CatchUp, Overlap, declare
from mainspring.core.schedules import require_fit
from mainspring.core.tasks import Task

_NO_KWARGS: Final[Mapping[str, Any]] = {}


class _OnTask(Protocol):
    def __call__[T: Task[..., Any]](self, task: T, /) -> T: ...


def cron(
    expression: str,
    *,
    timezone: str | tzinfo | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = _NO_KWARGS,
    name: str | None = None,
    queue_name: str | None = None,
    priority: int | None = None,
    jitter: float | timedelta = 0,
    catch_up: CatchUp = "latest",
    overlap: Overlap = "queue",
) -> _OnTask:
    """Enqueue a task at the times of a cron expression: ``@cron("0 3 * * *")`` above ``@task``.

    Five fields (minute, hour, day of the month, month, day of the week), or six with seconds first,
    or ``@daily`` and the like; in ``timezone``, by default ``TIME_ZONE``. ``jitter`` is how many
    seconds a call may be put off. ``catch_up`` says which ticks are made up for that passed while
    no worker was there; ``overlap="skip"`` passes over a tick while the last call is unfinished.

    Changes the task in place and returns it; several can be put above each other. Raises
    ``TypeError`` or ``ValueError``, naming the argument, and ``InvalidTask`` for a queue or a
    priority that the backend does not have.
    """
    timing = Cron(expression, cast("str | None", timezone))  # which takes a tzinfo, too
    given = {
        "args": args,
        "kwargs": kwargs,
        "name": name,
        "queue_name": queue_name,
        "priority": priority,
        "jitter": jitter,
        "catch_up": catch_up,
        "overlap": overlap,
    }
    return _putter("cron", timing, given)


def every(
    interval: timedelta | None = None,
    *,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = _NO_KWARGS,
    name: str | None = None,
    queue_name: str | None = None,
    priority: int | None = None,
    jitter: float | timedelta = 0,
    catch_up: CatchUp = "latest",
    overlap: Overlap = "queue",
) -> _OnTask:
    """Enqueue a task at an interval: ``@every(minutes=10)`` above ``@task``.

    It ticks at whole multiples of the interval since 1970 in UTC, on all machines alike; so
    ``every(hours=1)`` ticks on the hour. The other arguments are as for :func:`cron`; raises
    like it.
    """
    try:
        units = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"The interval is too long: {error}.") from None
    given_interval: Any = units if interval is None else interval
    if not isinstance(given_interval, timedelta) or (interval is not None and units):
        raise TypeError(
            "every() takes either a timedelta or days=, hours=, minutes= and seconds=, such as "
            "every(minutes=10)."
        )
    timing = every_of(given_interval)
    given = {
        "args": args,
        "kwargs": kwargs,
        "name": name,
        "queue_name": queue_name,
        "priority": priority,
        "jitter": jitter,
        "catch_up": catch_up,
        "overlap": overlap,
    }
    return _putter("every", timing, given)


def _putter(decorator: str, timing: Timing, given: Mapping[str, Any]) -> _OnTask:
    def put_on_task[T: Task[..., Any]](task: T) -> T:
        _require_declared(decorator, task)
        limit = task.get_backend().config.options.max_payload
        declaration = declare(timing, given, limit)
        require_fit(declaration, task)
        return task.update(schedules=(*task.schedules, declaration))

    return put_on_task


def _require_declared(decorator: str, task: Any) -> None:
    if isinstance(task, Task):
        if registry.declared(task.module_path) is not task:
            raise TypeError(
                f"@{decorator} must be above the @task that declares {task.module_path}: what "
                "using() returns is a copy, and schedules nothing."
            )
    elif isinstance(task, django.tasks.Task):
        raise TypeError(
            f"@{decorator} cannot be above {task.module_path}, a task of Django's own: its backend "
            f"{task.backend!r} is none of Mainspring's, and has no schedules."
        )
    else:
        raise TypeError(f"@{decorator} must be above a task, not {task!r}: put @task below it.")
