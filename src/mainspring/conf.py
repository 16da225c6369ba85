"""The settings of a backend, parsed once and validated whole."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final

from django.tasks.exceptions import InvalidTaskBackend

from mainspring.core import clock

_KEYS: Final = frozenset({"BACKEND", "QUEUES", "OPTIONS"})
_LONGEST: Final = 1e10  # seconds, some 300 years


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
    threads: int = 1
    """How many threads a worker inside the process uses."""


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
    return Config(alias, queues, Options(**values), tuple(errors))


def _queues(value: Any, where: str, errors: list[str]) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        errors.append(f"{where}['QUEUES'] must be a list of queue names, not {_a(value)}.")
        return frozenset({"default"})
    wrong = [name for name in value if not _is_queue_name(name)]
    if wrong:
        errors.append(
            f"{where}['QUEUES'] has {wrong[0]!r}: a queue name is a text of 1 to 64 characters "
            "without commas and other than '*'."
        )
    return frozenset(name for name in value if _is_queue_name(name))


def _is_queue_name(name: object) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= 64 and "," not in name and name != "*"


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


def _order(value: Any) -> tuple[str, Any]:
    return ("" if value in ("lifo", "fifo") else "'lifo' or 'fifo'"), value


_PARSERS: Final = {
    "MAX_PAYLOAD": _whole(1),
    "ORDER": _order,
    "RESULT_TTL": _duration(0, or_none=True),
    "LEASE": _duration(1, or_none=False),
    "EMBEDDED": _flag,
    "THREADS": _whole(1),
}
if {key.lower() for key in _PARSERS} != {field.name for field in fields(Options)}:
    raise AssertionError("Every option has a parser.")


def _suggest(key: object, known: frozenset[str]) -> str:
    close = get_close_matches(str(key).upper(), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(sorted(known))})"


def _a(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"
