"""Mainspring: background tasks for Django.

The public names; each can be imported before Django's apps are ready.
"""

from django.tasks import TaskResultStatus, default_task_backend, task_backends

from mainspring.core.ordering import fifo, lifo
from mainspring.core.results import TaskContext, TaskError, TaskResult
from mainspring.core.tasks import Task, task

__version__ = "0.1.0"

__all__ = [
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultStatus",
    "__version__",
    "default_task_backend",
    "fifo",
    "lifo",
    "task",
    "task_backends",
]
