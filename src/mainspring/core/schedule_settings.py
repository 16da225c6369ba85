"""The setting ``SCHEDULES``: schedules by name, without a change to the code of their tasks."""

from collections.abc import Mapping
from difflib import get_close_matches
from sys import maxsize
from typing import Any, Final

from mainspring.core.crons import Cron, Timing, every_of
from mainspring.core.declarations import LONGEST_NAME, Declaration, declare

_SUCH_AS: Final = "such as {'nightly': {'task': 'shop.tasks.clean', 'cron': '0 3 * * *'}}"
_KEYS: Final = (
    "task",
    "cron",
    "every",
    "timezone",
    "args",
    "kwargs",
    "queue_name",
    "priority",
    "jitter",
    "catch_up",
    "overlap",
)


def parse_schedules(value: Any) -> tuple[str, tuple[Declaration, ...]]:
    """Return what ``SCHEDULES`` must be, or "" where it is that, and the schedules."""
    if not isinstance(value, Mapping):
        return f"a dict {_SUCH_AS}", ()
    parsed = []
    for name, given in value.items():
        try:
            parsed.append(_parse(name, given))
        except (TypeError, ValueError) as error:
            problem = str(error).rstrip(".")
            return f"a dict of schedules, of which [{name!r}] is none ({problem})", ()
    return "", tuple(parsed)


def parse_exposed(value: Any) -> tuple[str, Mapping[str, str]]:
    """Return what ``EXPOSED_TASKS`` must be, or "" where it is that, and the paths by name."""
    if not isinstance(value, Mapping):
        return "a dict such as {'Clean up': 'shop.tasks.clean'}", {}
    for name, path in value.items():
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
            return f"a dict whose keys are names, of which {name!r} is none", {}
        if not isinstance(path, str) or "." not in path:
            return f"a dict whose [{name!r}] is a path such as 'shop.tasks.clean'", {}
    return "", dict(value)


def _parse(name: Any, given: Any) -> Declaration:
    if not isinstance(given, Mapping):
        raise TypeError(f"it must be a dict, {_SUCH_AS}")
    for key in given:
        if key not in _KEYS:
            close = get_close_matches(str(key).lower(), _KEYS, n=1)
            known = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_KEYS)}"
            raise ValueError(f"it has the unknown key {key!r}; {known}")
    path = given.get("task")
    if not isinstance(path, str) or "." not in path:
        raise TypeError(f"'task' must be a path such as 'shop.tasks.clean', not {path!r}")
    if name is None:
        raise TypeError("its name must be a text")
    declaration = declare(_timing(given), {**given, "name": name}, maxsize)
    return declaration._replace(task_path=path)


def _timing(given: Mapping[str, Any]) -> Timing:
    if ("cron" in given) == ("every" in given):
        raise ValueError("it must have either 'cron' or 'every'")
    if "cron" in given:
        try:
            return Cron(given["cron"], given.get("timezone"))
        except (TypeError, ValueError) as error:
            raise ValueError(str(error).replace("expression", "cron", 1)) from None
    if "timezone" in given:
        raise ValueError("an interval has no 'timezone'")
    try:
        return every_of(given["every"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"'every': {error}") from None
