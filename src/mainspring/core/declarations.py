"""What decorators and settings say of a schedule, and whether it makes sense."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple

from django.tasks.exceptions import InvalidTask

from mainspring.core import codec
from mainspring.core.clock import in_microseconds
from mainspring.core.crons import Timing

type CatchUp = Literal["latest", "none", "all"]
type Overlap = Literal["queue", "skip"]

CATCH_UPS: Final = ("latest", "none", "all")
OVERLAPS: Final = ("queue", "skip")
LONGEST_NAME: Final = 255
_LONGEST_JITTER: Final = 366 * 24 * 3600.0  # seconds


class Declaration(NamedTuple):
    """What is said of a schedule; the task says the rest."""

    timing: Timing
    arguments: bytes = codec.NO_ARGUMENTS
    """JSON: see codec.encode_call."""
    name: str | None = None
    """None for the path of the task, and a number where it has several schedules."""
    queue_name: str | None = None
    """None for that of the task."""
    priority: int | None = None
    """None for that of the task."""
    jitter: int = 0
    """The most microseconds that a call is put off, so that not all are due at once."""
    catch_up: CatchUp = "latest"
    overlap: Overlap = "queue"
    task_path: str | None = None
    """None for the task that it is on."""


def declare(timing: Timing, given: Mapping[str, Any], max_payload: int) -> Declaration:
    """Return the declaration of a schedule, of the keyword arguments of the decorators.

    Raises ``TypeError`` or ``ValueError``, naming the argument, for what makes no sense.
    """
    name, queue_name, priority = (given.get(key) for key in ("name", "queue_name", "priority"))
    _require_name(name)
    _require_optional("queue_name", queue_name, str, "a text")
    _require_optional("priority", priority, int, "a whole number")
    for key, choices in (("catch_up", CATCH_UPS), ("overlap", OVERLAPS)):
        if given.get(key, choices[0]) not in choices:
            known = ", ".join(map(repr, choices))
            raise ValueError(f"{key} must be one of {known}, not {given[key]!r}.")
    return Declaration(
        timing,
        _encode(given.get("args", ()), given.get("kwargs", {}), max_payload),
        name,
        queue_name,
        priority,
        _jitter(given.get("jitter", 0)),
        given.get("catch_up", "latest"),
        given.get("overlap", "queue"),
    )


def names_of(path: str, declarations: Sequence[Declaration]) -> list[str]:
    """Return the names of the schedules on a task: its path, and "#2" and so on of further ones."""
    return [
        declaration.name or (path if number == 1 else f"{path}#{number}")
        for number, declaration in enumerate(declarations, 1)
    ]


def require_declarations(path: str, declarations: Any) -> None:
    """Raise ``InvalidTask`` where the schedules on a task are none, or two have one name."""
    if not isinstance(declarations, tuple) or not all(
        isinstance(one, Declaration) for one in declarations
    ):
        raise InvalidTask(
            f"schedules is what @cron and @every put above @task make it, not {declarations!r}."
        )
    names = names_of(path, declarations)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidTask(f"Two schedules of {path} are named {twice!r}.")


def _require_name(name: Any) -> None:
    fits = name is None or (
        isinstance(name, str) and 1 <= len(name) <= LONGEST_NAME and name.isprintable()
    )
    if not fits:
        raise ValueError(
            f"name must be a text of 1 to {LONGEST_NAME} printable characters, not {name!r}."
        )


def _require_optional(key: str, value: Any, kind: type, said: str) -> None:
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise TypeError(f"{key} must be {said}, or None for the task's, not {value!r}.")


def _encode(args: Any, kwargs: Any, max_payload: int) -> bytes:
    if not isinstance(args, list | tuple):
        raise TypeError(f"args must be a list or tuple of arguments, not {args!r}.")
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs must be a dict of keyword arguments, not {kwargs!r}.")
    return codec.encode_call(args, kwargs, max_payload)


def _jitter(value: Any) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"jitter must be a number of seconds or a timedelta, not {value!r}.")
    if not 0 <= seconds <= _LONGEST_JITTER:
        raise ValueError(f"jitter must be from 0 seconds to 366 days, not {value!r}.")
    return in_microseconds(value)
