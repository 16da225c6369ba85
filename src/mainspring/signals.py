"""Django's task signals, sent only where somebody hears them.

Django's three signals always have one receiver each: the one that logs to ``django.tasks``.
Building a result and a log record for it costs 15 µs a task, more than a no-op task itself; where
no other receiver is connected and no handler would take the record, both are left out.
"""

import logging
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.dispatch import Signal
from django.tasks import signals as django_signals
from django.utils.log import RequireDebugTrue

from mainspring.core.errors import TaskError
from mainspring.core.results import TaskResult
from mainspring.core.settings import setting

task_enqueued: Final = django_signals.task_enqueued
task_started: Final = django_signals.task_started
task_finished: Final = django_signals.task_finished

task_retried: Final = Signal()
"""An attempt failed and another one follows; sent with ``details``, a :class:`Retried`."""
task_timed_out: Final = Signal()
"""An attempt took too long; sent with ``details``, a :class:`TimedOut`. Of one that had to be
killed, the process tells that recovers the call."""
task_cancelled: Final = Signal()
"""A call was cancelled; sent with ``details``, a :class:`Cancelled`, by who cancelled it."""
task_rescued: Final = Signal()
"""A call was recovered from a worker that died; sent with ``details``, a :class:`Rescue`."""


worker_process_started: Final = Signal()
"""A worker process has been forked and is about to claim; sent in that process with ``details``, a
:class:`WorkerProcess`."""
worker_process_stopping: Final = Signal()
"""A worker process has finished its last task and is about to exit by itself; sent in that process
with ``details``, a :class:`WorkerProcess`."""


class WorkerProcess(NamedTuple):
    """Details of ``worker_process_started`` and ``worker_process_stopping``."""

    worker_id: str
    backend: str
    """The alias in ``TASKS``."""


class Retried(NamedTuple):
    """Details of ``task_retried``."""

    task_result: TaskResult[Any]
    error: TaskError
    retry_at: datetime


class TimedOut(NamedTuple):
    """Details of ``task_timed_out``."""

    task_result: TaskResult[Any]
    error: TaskError


class Cancelled(NamedTuple):
    """Details of ``task_cancelled``."""

    task_result: TaskResult[Any]


class Rescue(NamedTuple):
    """Details of ``task_rescued``."""

    task_result: TaskResult[Any]
    worker_id: str
    """The worker that died."""
    was_started: bool
    """Whether the call was running, or only claimed."""


_logger = logging.getLogger("django.tasks")

# Each signal's own logging receiver, and the lowest level it logs at.
_LOGGED: Final[dict[Signal, tuple[int, int]]] = {
    task_enqueued: (id(django_signals.log_task_enqueued), logging.DEBUG),
    task_started: (id(django_signals.log_task_started), logging.INFO),
    task_finished: (id(django_signals.log_task_finished), logging.INFO),
}


def is_heard(signal: Signal, failed: bool = False) -> bool:
    """Whether anybody would notice if ``signal`` were sent (with a ``failed`` result)."""
    receivers: list[Any] = signal.receivers
    own, level = _LOGGED[signal]
    if len(receivers) != 1 or receivers[0][0][0] != own:
        return bool(receivers)
    return _would_log(logging.ERROR if failed else level)


def is_received(signal: Signal) -> bool:
    """Whether anybody but Django's own log would notice: for calls that come by the million."""
    receivers: list[Any] = signal.receivers
    return any(receiver[0][0] != _LOGGED[signal][0] for receiver in receivers)


def _would_log(level: int) -> bool:
    # Walked anew each time, as handlers come and go without notice: 0.3 µs with Django's defaults.
    if not _logger.isEnabledFor(level):
        return False
    logger: logging.Logger | None = _logger
    found = False
    while logger is not None:
        for handler in logger.handlers:
            found = True
            if handler.level <= level and not (handler.filters and _is_silent(handler)):
                return True
        if not logger.propagate:
            break
        logger = logger.parent
    if found:
        return False
    # Without any handler, Python's handler of last resort prints warnings and above.
    return logging.lastResort is not None and level >= logging.lastResort.level


def _is_silent(handler: logging.Handler) -> bool:
    # Django's default logging: a console handler that is silent unless DEBUG.
    for one in handler.filters:
        if isinstance(one, RequireDebugTrue):
            return not setting("DEBUG")
    return False
