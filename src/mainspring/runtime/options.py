"""How a worker is to run."""

import os
import sys
from dataclasses import dataclass
from random import uniform

from mainspring.backends.storage import ANY_QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The options of ``manage.py mainspring worker``."""

    backend: str = "default"
    processes: int = os.cpu_count() or 1
    threads: int = 1
    """Threads for sync tasks in each process; with one, they run in the main thread."""
    async_concurrency: int = 100
    """How many async tasks each process runs at a time."""
    queues: tuple[str, ...] = (ANY_QUEUE,)
    """In order of preference; ``*`` stands for all that are not named, as equals."""
    drain: bool = False
    """Whether to exit when nothing is left to run."""
    max_tasks: int | None = None
    """After about so many tasks (10 % more or less) a process is replaced."""
    max_memory: int | None = None
    """Above so many bytes of resident memory a process is replaced."""
    shutdown_timeout: float = 25.0
    """Seconds that running tasks have to finish when the worker is to stop."""

    is_daemonic: bool = True
    """True if the process may end while threads started by tasks are running."""

    def draw_max_tasks(self) -> int:
        """Return after how many tasks a process is replaced; not all processes at once."""
        if self.max_tasks is None:
            return sys.maxsize
        return max(round(self.max_tasks * uniform(0.9, 1.1)), 1)  # noqa: S311
