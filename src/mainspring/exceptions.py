"""The errors that Mainspring adds to those of :mod:`django.tasks.exceptions`."""

from django.tasks.exceptions import TaskException


class StoreUnavailable(TaskException):
    """The store cannot be used for now: locked, full, read-only, gone or without its tables.

    The text is one line that says what is wrong and what to do.
    """


class TaskCancelled(TaskException):
    """The call was cancelled before it started."""


class TaskNotFound(TaskException, LookupError):
    """No task is registered under the import path that a store holds."""


class WorkerLost(TaskException):
    """The worker died while it ran this call; the attempt has no outcome."""


class OutcomeLost(TaskException):
    """The call had ended when its worker died, and its outcome was not stored yet."""


class WorkerStopped(TaskException):
    """The worker was ended while it ran this call, because a shutdown ran out of time."""
