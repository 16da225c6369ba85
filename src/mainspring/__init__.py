"""Mainspring: background tasks for Django.

The public names; each can be imported before Django's apps are ready.
"""

from django.tasks import TaskResultStatus, default_task_backend, task_backends

from mainspring.core.context import TaskContext
from mainspring.core.errors import TaskError
from mainspring.core.limits import Limit, Rate
from mainspring.core.map_results import MapProgress, MapResult
from mainspring.core.notes import Progress
from mainspring.core.ordering import fifo, lifo
from mainspring.core.results import TaskResult
from mainspring.core.retries import exponential, fixed, linear
from mainspring.core.scheduling import cron, every
from mainspring.core.tasks import Task, task
from mainspring.exceptions import (
    Discard,
    MapFailed,
    Retry,
    Snooze,
    TaskCancelled,
    TaskTimeout,
    WorkerLost,
)

__version__ = "0.1.0"

__all__ = [
    "Discard",
    "Limit",
    "MapFailed",
    "MapProgress",
    "MapResult",
    "Progress",
    "Rate",
    "Retry",
    "Snooze",
    "Task",
    "TaskCancelled",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultStatus",
    "TaskTimeout",
    "WorkerLost",
    "__version__",
    "cron",
    "default_task_backend",
    "every",
    "exponential",
    "fifo",
    "fixed",
    "lifo",
    "linear",
    "task",
    "task_backends",
]
