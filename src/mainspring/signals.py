"""Django's task signals, sent only where somebody hears them.

Django's three signals always have one receiver each: the one that logs to ``django.tasks``.
Building a result and a log record for it costs 15 µs a task, more than a no-op task itself; where
no other receiver is connected and no handler would take the record, both are left out.
"""

import logging
from typing import Any, Final

from django.conf import settings
from django.dispatch import Signal
from django.tasks import signals as django_signals
from django.utils.log import RequireDebugTrue

task_enqueued: Final = django_signals.task_enqueued
task_started: Final = django_signals.task_started
task_finished: Final = django_signals.task_finished

_logger = logging.getLogger("django.tasks")

# Each signal's own logging receiver, and the lowest level it logs at.
_LOGGED: Final[dict[int, tuple[int, int]]] = {
    id(task_enqueued): (id(django_signals.log_task_enqueued), logging.DEBUG),
    id(task_started): (id(django_signals.log_task_started), logging.INFO),
    id(task_finished): (id(django_signals.log_task_finished), logging.INFO),
}


def is_heard(signal: Signal, failed: bool = False) -> bool:
    """Whether anybody would notice if ``signal`` were sent (with a ``failed`` result)."""
    receivers: list[Any] = signal.receivers
    own, level = _LOGGED[id(signal)]
    if len(receivers) != 1 or receivers[0][0][0] != own:
        return bool(receivers)
    return _would_log(logging.ERROR if failed else level)


def _would_log(level: int) -> bool:
    if not _logger.isEnabledFor(level):
        return False
    logger: logging.Logger | None = _logger
    found = False
    while logger is not None:
        for handler in logger.handlers:
            found = True
            if handler.level <= level and not _is_silent_without_debug(handler):
                return True
        if not logger.propagate:
            break
        logger = logger.parent
    # Without any handler, Python's handler of last resort prints warnings and above.
    return not found and level >= logging.WARNING


def _is_silent_without_debug(handler: logging.Handler) -> bool:
    # Django's default logging: a console handler that is silent unless DEBUG.
    return not settings.DEBUG and any(isinstance(f, RequireDebugTrue) for f in handler.filters)
