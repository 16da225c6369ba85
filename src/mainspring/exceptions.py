"""The errors that Mainspring adds to those of :mod:`django.tasks.exceptions`."""

from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.tasks.exceptions import TaskException

_LONGEST: Final = 1e10  # seconds, some 300 years


class StoreUnavailable(TaskException):
    """The store cannot be used for now: locked, full, read-only, gone or without its tables.

    The text is one line that says what is wrong and what to do.
    """


class StoreLocked(StoreUnavailable):
    """Another transaction has held a needed lock for longer than the store waits."""


class StoreRefused(StoreUnavailable):
    """The store refuses data for good, for example because it is too large."""


class TaskCancelled(TaskException):
    """The call was cancelled. Raised inside the task where it was running."""


class TaskNotFound(TaskException, LookupError):
    """No task is registered under the import path that a store holds."""


class WorkerLost(TaskException):
    """The worker died while it ran this call; the attempt has no outcome."""


class OutcomeLost(TaskException):
    """The call had ended when its worker died, and its outcome was not stored yet."""


class WorkerStopped(TaskException):
    """The worker was ended while it ran this call, because a shutdown ran out of time."""


class ErrorsOmitted(TaskException):
    """Stands for the omitted errors of a call with many attempts."""


class OutcomeRefused(TaskException):
    """The store refused the outcome of the call; the text gives the store's reason."""


class TaskTimeout(TaskException, TimeoutError):
    """The call took longer than its timeout. Raised inside the task, so that it can clean up."""


class MapFailed(TaskException):
    """Stands among the errors of a map's reduced value: why there is none."""


class DuplicateCall(TaskException):
    """The call of a map was not stored to be run: an equal one of a unique task was pending."""


class Unreadable(TaskException, ValueError):
    """Stored data, or a file of a worker, is damaged and cannot be read."""


class NewerFormat(Unreadable):
    """Stored data, or a file of a worker, was written by a newer version."""

    def __init__(self, reason: str = "", needed: int = 2) -> None:
        super().__init__(reason)
        self.needed = needed
        """The format that a reader must support."""


class Retry(TaskException):
    """Raised by a task: this attempt failed, and there is to be another one, if any is left.

    ``after`` is in seconds or a timedelta; None leaves it to the task's backoff.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the task asked for a retry")
        self.after = _checked(after, "after") if after is not None else None


class Snooze(TaskException):
    """Raised by a task: nothing to do yet; call it again later. That costs no attempt.

    ``after`` is in seconds or a timedelta.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta) -> None:
        super().__init__(reason or "the task asked to be called later")
        self.after = _checked(after, "after")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are made anew of their args alone: in a process pool, that would break it.
        return partial(type(self), after=self.after), self.args


class Discard(TaskException):
    """Raised by a task: it failed for good, and no attempt is to follow."""

    def __init__(self, reason: str = "the task discarded this call") -> None:
        super().__init__(reason)


def _checked(wait: Any, name: str) -> float | timedelta:
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} must be a number of seconds or a timedelta, not {wait!r}.")
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{name} must be between 0 and {_LONGEST:g} seconds, not {wait!r}.")
    given: float | timedelta = wait
    return given
