"""What came of the calls, computed from their results."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.tasks import TaskResultStatus

from mainspring.core.errors import TaskError
from mainspring.core.results import TaskResult


class Parsed(NamedTuple):
    """A file and what it holds."""

    path: str
    functions: int
    classes: int
    words: int


class Failure(NamedTuple):
    """A file that could not be parsed, and why."""

    path: str
    error: str
    """The name of the exception's class."""
    message: str


class Summary(NamedTuple):
    """All of it. Times are in seconds, and in ascending order."""

    parsed: list[Parsed]
    failures: list[Failure]
    seconds: float
    """From the first start to the last end."""
    waits: list[float]
    """From enqueue to start."""
    runs: list[float]
    """From start to end."""


def summarize(results: Iterable[TaskResult[Any]], folder: str) -> Summary:
    """Sum up finished results of calls on files in ``folder``, to which paths become relative."""
    parsed, failures, waits, runs, moments = [], [], [], [], []
    for result in results:
        path = os.path.relpath(result.args[0], folder)
        if result.status is TaskResultStatus.SUCCESSFUL:
            parsed.append(_parsed(path, result.return_value))
        else:
            failures.append(_failure(path, result.errors[-1], folder))
        if result.started_at and result.last_attempted_at and result.finished_at:
            waits.append((result.started_at - result.enqueued_at).total_seconds())
            runs.append((result.finished_at - result.last_attempted_at).total_seconds())
            moments += [result.started_at, result.finished_at]
    seconds = (max(moments) - min(moments)).total_seconds() if moments else 0.0
    return Summary(sorted(parsed), sorted(failures), seconds, sorted(waits), sorted(runs))


def _parsed(path: str, counts: Mapping[str, int]) -> Parsed:
    return Parsed(path, counts["functions"], counts["classes"], counts["words"])


def _failure(path: str, error: TaskError, folder: str) -> Failure:
    lines = error.traceback.strip().splitlines()
    name = error.exception_class_path.rpartition(".")[2]
    # The last line of a traceback is "SyntaxError: invalid syntax", or the class's name alone.
    _, _, message = (lines[-1] if lines else "").partition(": ")
    return Failure(path, name, message.replace(folder + os.sep, ""))
