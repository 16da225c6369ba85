"""Entries: schedules that people add while the project runs, of tasks that its code exposes."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from django.tasks.exceptions import InvalidTask

from mainspring.core import registry
from mainspring.core.crons import Cron, Timing, every_of
from mainspring.core.declarations import declare
from mainspring.core.schedules import Schedule, require_fit
from mainspring.core.tasks import Task

# Floats and big integers as they are written.
_decode: Final = msgspec.json.Decoder().decode


class Entry(NamedTuple):
    """One entry, as stored: empty texts and None stand for what is not given."""

    name: str
    task: str
    """The name by which ``EXPOSED_TASKS`` has it; never a path."""
    cron: str = ""
    every: int | None = None
    """Seconds."""
    timezone: str = ""
    args: str = "[]"
    """JSON."""
    kwargs: str = "{}"
    """JSON."""
    queue_name: str = ""
    priority: int | None = None
    jitter: int = 0
    """Seconds."""
    catch_up: str = "latest"
    overlap: str = "queue"
    changed_at: int = 0
    """Microseconds."""


class NotAnEntry(ValueError):
    """An entry is invalid; ``field`` names the field."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def timing_of(entry: Entry) -> Timing:
    """Return when an entry fires. Raises :class:`NotAnEntry`."""
    if bool(entry.cron) == (entry.every is not None):
        raise NotAnEntry("cron", "Give either a cron expression or an interval.")
    if entry.every is not None:
        if entry.timezone:
            raise NotAnEntry("timezone", "An interval has no time zone.")
        try:
            return every_of(entry.every)
        except (TypeError, ValueError) as error:
            raise NotAnEntry("every", str(error)) from None
    try:
        return Cron(entry.cron, entry.timezone or None)
    except (TypeError, ValueError) as error:
        field = "timezone" if str(error).startswith("timezone") else "cron"
        raise NotAnEntry(field, str(error)) from None


def schedule_of(entry: Entry, alias: str, options: Any) -> Schedule:
    """Return the schedule of an entry of a backend, whose Config has these options.

    Raises :class:`NotAnEntry` where it makes no sense: its task is not exposed, cannot be found or
    is another backend's, or something else does not fit.
    """
    timing = timing_of(entry)
    task = _task_of(entry, alias, options.exposed_tasks)
    given = {
        "name": entry.name,
        "args": _json(entry, "args", list),
        "kwargs": _json(entry, "kwargs", dict),
        "queue_name": entry.queue_name or None,
        "priority": entry.priority,
        "jitter": entry.jitter,
        "catch_up": entry.catch_up,
        "overlap": entry.overlap,
    }
    try:
        declaration = declare(timing, given, options.max_payload)
        require_fit(declaration, task)
    except (InvalidTask, TypeError, ValueError) as error:
        raise NotAnEntry(_field_in(str(error)), str(error)) from error
    return Schedule.of(declaration, task, entry.name, "database")


def _task_of(entry: Entry, alias: str, exposed: Mapping[str, str]) -> Task[..., Any]:
    path = exposed.get(entry.task)
    if path is None:
        raise NotAnEntry("task", f"EXPOSED_TASKS of TASKS[{alias!r}] has no {entry.task!r}.")
    try:
        task = registry.resolve(path)
    except LookupError as error:
        raise NotAnEntry("task", str(error)) from error
    if task.backend != alias:
        raise NotAnEntry("task", f"{path} is a task of the backend {task.backend!r}.")
    return task


def _json(entry: Entry, field: str, kind: type) -> Any:
    try:
        value = _decode(getattr(entry, field))
    except ValueError as error:
        raise NotAnEntry(field, f"{field} must be JSON: {error}.") from None
    if not isinstance(value, kind):
        wanted = "a list of arguments" if kind is list else "an object of keyword arguments"
        raise NotAnEntry(field, f"{field} must be {wanted}.")
    return value


def _field_in(text: str) -> str:
    # Which field an error is about that names its argument first.
    first = text.partition(" ")[0]
    if first == "Queue":
        return "queue_name"
    return first if first in Entry._fields else "args"
