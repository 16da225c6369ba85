"""The settings of a backend, parsed once and validated whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final

from django.tasks.exceptions import InvalidTaskBackend

from mainspring.core import clock
from mainspring.core.declarations import Declaration
from mainspring.core.limits import Limit, Rate
from mainspring.core.outcomes import MAX_CRASHES
from mainspring.core.policy import Policy
from mainspring.core.retries import Backoff, exponential, problem_of
from mainspring.core.schedule_settings import parse_exposed, parse_schedules

_KEYS: Final = frozenset({"BACKEND", "QUEUES", "OPTIONS"})
_LONGEST: Final = 1e10  # seconds, some 300 years


_BACKOFF: Final = exponential()

QUEUE_NAME_RULE: Final = (
    "a queue name is a string of 1 to 64 characters other than '*', without commas, NUL and "
    "surrogates"
)
_is_queue_name: Final = re.compile(r"[^,\x00\ud800-\udfff]{1,64}").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``TASKS[alias]["OPTIONS"]``, in lower case. Durations are in microseconds."""

    max_payload: int = 10 * 1024 * 1024
    """The most bytes that the arguments, or the return value, of one call take as JSON."""
    order: str = "lifo"
    """Which of two jobs of one priority goes first: ``lifo`` the newer, ``fifo`` the older."""
    result_ttl: int | None = 7 * 24 * 3600 * clock.SECOND
    """How long finished results are kept; None keeps them for good."""
    lease: int = 30 * clock.SECOND
    """How long a worker that is no longer heard of keeps what it claimed."""
    embedded: bool = False
    """Whether the web process runs the tasks itself."""
    listen: bool | None = None
    """Whether LISTEN and prepared statements are used; None finds out whether they can be."""
    threads: int = 1
    """How many threads a worker inside the process uses; of processes, each of them."""
    processes: int = 0
    """How many child processes run what is in memory; 0 for threads of the process itself."""
    max_attempts: int = 1
    """How many attempts of a call may fail, where its task does not say."""
    backoff: Backoff = _BACKOFF
    """How long to wait after a failure, where the task does not say."""
    timeout: int | None = 3600 * clock.SECOND
    """How long an attempt may take, where the task does not say; None for as long as it takes."""
    grace: int = 5 * clock.SECOND
    """How long a task that was told to end has for it, before its process is killed."""
    max_crashes: int = MAX_CRASHES
    """How many workers a call may take down before it fails, where its task does not say."""

    queue_limits: Mapping[str, tuple[Limit | Rate, ...]] = field(default_factory=dict)
    """By queue, the limits of all its calls together."""
    schedules: tuple[Declaration, ...] = ()
    """What is enqueued by itself beside what code declares; each with a name and a task's path."""
    exposed_tasks: Mapping[str, str] = field(default_factory=dict)
    """By the name that people see, the paths of the tasks that they may schedule."""

    @property
    def policy(self) -> Policy:
        """How calls are run whose tasks do not say."""
        return Policy(self.max_attempts, self.backoff, self.timeout, self.max_crashes)


@dataclass(frozen=True, slots=True)
class Config:
    """One backend's settings, and what is wrong with them."""

    alias: str
    queues: frozenset[str]
    options: Options
    errors: tuple[str, ...]

    def require_valid(self) -> None:
        """Raise ``InvalidTaskBackend``, naming the settings, if any is wrong."""
        if self.errors:
            raise InvalidTaskBackend(" ".join(self.errors))


def parse(alias: str, params: Mapping[str, Any], supported: frozenset[str]) -> Config:
    """Parse ``TASKS[alias]``; ``supported`` are the options that its backend has.

    Raises nothing: Django builds backends while tasks are decorated, and ``manage.py check`` is
    where wrong settings are told.
    """
    where = f"TASKS[{alias!r}]"
    errors = [
        f"{where} has the unknown key {key!r}{_suggest(key, _KEYS)}."
        for key in params
        if key not in _KEYS
    ]
    queues = _queues(params.get("QUEUES", ["default"]), where, errors)
    given = params.get("OPTIONS", {})
    if not isinstance(given, Mapping):
        errors.append(f"{where}['OPTIONS'] must be a dict, not {_a(given)}.")
        given = {}
    values = {}
    for key, value in given.items():
        if key not in supported:
            errors.append(
                f"{where}['OPTIONS'] has the unknown option {key!r}{_suggest(key, supported)}."
            )
            continue
        problem, parsed = _PARSERS[key](value)
        if problem:
            errors.append(f"{where}['OPTIONS'][{key!r}] must be {problem}, not {_a(value)}.")
        else:
            values[key.lower()] = parsed
    named = [
        *(("QUEUE_LIMITS", name) for name in values.get("queue_limits", ())),
        *(("SCHEDULES", one.queue_name) for one in values.get("schedules", ()) if one.queue_name),
    ]
    errors += [
        f"{where}['OPTIONS'][{key!r}] names the queue {name!r}, which is not in "
        f"{where}['QUEUES'] ({', '.join(sorted(queues))})."
        for key, name in sorted(set(named))
        if queues and name not in queues
    ]
    return Config(alias, queues, Options(**values), tuple(errors))


def _queues(value: Any, where: str, errors: list[str]) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        errors.append(f"{where}['QUEUES'] must be a list of queue names, not {_a(value)}.")
        return frozenset({"default"})
    wrong = [name for name in value if not is_queue_name(name)]
    if wrong:
        errors.append(f"{where}['QUEUES'] has {wrong[0]!r}: {QUEUE_NAME_RULE}.")
    return frozenset(name for name in value if is_queue_name(name))


def is_queue_name(name: object) -> bool:
    """Return True if this is a valid queue name. The rule is the same for all stores."""
    return isinstance(name, str) and name != "*" and _is_queue_name(name) is not None


def _whole(least: int) -> Any:
    def parse_whole(value: Any) -> tuple[str, Any]:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
        return ("" if fits else f"a whole number of at least {least}"), value

    return parse_whole


def _duration(least_seconds: float, or_none: bool) -> Any:
    def parse_duration(value: Any) -> tuple[str, Any]:
        if value is None and or_none:
            return "", None
        if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
            seconds = value.total_seconds() if isinstance(value, timedelta) else value
            if least_seconds <= seconds <= _LONGEST:
                return "", clock.in_microseconds(value)
        least = f"of at least {least_seconds:g} seconds"
        return f"a timedelta or a number of seconds, {least}{', or None' * or_none}", None

    return parse_duration


def _flag(value: Any) -> tuple[str, Any]:
    return ("" if isinstance(value, bool) else "True or False"), value


def _optional_flag(value: Any) -> tuple[str, Any]:
    return ("" if value is None or isinstance(value, bool) else "True, False or None"), value


def _order(value: Any) -> tuple[str, Any]:
    return ("" if value in ("lifo", "fifo") else "'lifo' or 'fifo'"), value


def _backoff(value: Any) -> tuple[str, Any]:
    return problem_of(value), value


def _queue_limits(value: Any) -> tuple[str, Any]:
    if not isinstance(value, Mapping):
        return "a dict such as {'mail': {'concurrency': 3, 'rate': (100, 60)}}", None
    parsed = {}
    for name, given in value.items():
        if not is_queue_name(name):
            return f"a dict of limits by queue, of which {name!r} is none", None
        if not isinstance(given, Mapping) or not given or given.keys() - _LIMITS.keys():
            return f"a dict whose [{name!r}] is a dict with 'concurrency', 'rate' or both", None
        try:
            parsed[name] = tuple(_LIMITS[kind][0](limit) for kind, limit in given.items())
        except (TypeError, ValueError):
            wanted = [f"whose [{name!r}][{kind!r}] is {_LIMITS[kind][1]}" for kind in given]
            return f"a dict {', and '.join(wanted)}", None
    return "", parsed


def _concurrency(value: Any) -> Limit:
    return value if isinstance(value, Limit) else Limit(value)


def _rate(value: Any) -> Rate:
    return value if isinstance(value, Rate) else Rate(*value)


_LIMITS: Final[dict[str, tuple[Any, str]]] = {
    "concurrency": (_concurrency, "a Limit or a whole number from 1 to 1,000"),
    "rate": (_rate, "a Rate or a pair such as (100, 60): so many calls in so many seconds"),
}


_PARSERS: Final = {
    "MAX_PAYLOAD": _whole(1),
    "ORDER": _order,
    "RESULT_TTL": _duration(0, or_none=True),
    "LEASE": _duration(1, or_none=False),
    "EMBEDDED": _flag,
    "LISTEN": _optional_flag,
    "THREADS": _whole(1),
    "PROCESSES": _whole(0),
    "MAX_ATTEMPTS": _whole(1),
    "BACKOFF": _backoff,
    "TIMEOUT": _duration(0.001, or_none=True),
    "GRACE": _duration(0, or_none=False),
    "MAX_CRASHES": _whole(1),
    "QUEUE_LIMITS": _queue_limits,
    "SCHEDULES": parse_schedules,
    "EXPOSED_TASKS": parse_exposed,
}
if {key.lower() for key in _PARSERS} != {option.name for option in fields(Options)}:
    raise AssertionError("Every option has a parser.")


def _suggest(key: object, known: frozenset[str]) -> str:
    close = get_close_matches(str(key).upper(), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(sorted(known))})"


def _a(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"
