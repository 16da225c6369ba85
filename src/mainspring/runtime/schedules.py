"""The schedules of a worker: those that its code and its settings declare."""

import logging
import threading
from collections.abc import Callable

from mainspring.backends.base import MainspringBackend
from mainspring.core.schedules import Schedule, declared_schedules
from mainspring.runtime.startup import import_tasks

logger = logging.getLogger("mainspring")


def schedules_to_load(backend: MainspringBackend) -> Callable[[], list[Schedule]]:
    """Return what loads them, in whichever thread; what cannot be is logged and left out."""
    # A worker process has imported the tasks before it was forked; a thread of a website or of a
    # script may come before whoever uses them.
    is_embedded = threading.current_thread() is not threading.main_thread()

    def load() -> list[Schedule]:
        if is_embedded:
            import_tasks()
        problems: list[str] = []
        found = declared_schedules(backend.alias, backend.config.options, problems)
        for problem in problems:
            logger.warning("A schedule is left out: %s", problem)
        return found

    return load
