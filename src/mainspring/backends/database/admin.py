"""The admin: jobs and workers to look at, by those who have Django's permission to view them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.db import models
from django.utils.html import format_html

from mainspring.backends.database.models import RegisteredWorker, StoredJob, StoredMap
from mainspring.backends.database.read_only_admin import ReadOnlyAdmin
from mainspring.backends.database.schedule_admin import ScheduleEntryAdmin, ScheduleStateAdmin
from mainspring.backends.unreadable_jobs import problem_of
from mainspring.core.chunks import items_in, spec_of
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Job
from mainspring.core.results import TaskResult

__all__ = [
    "RegisteredWorkerAdmin",
    "ScheduleEntryAdmin",
    "ScheduleStateAdmin",
    "StoredJobAdmin",
    "StoredMapAdmin",
]


def _whatever_is_stored[A](show: Callable[[A, StoredJob], str]) -> Callable[[A, StoredJob], str]:
    # A damaged column must not hide the others.
    @wraps(show)
    def shown(self: A, row: StoredJob) -> str:
        try:
            return show(self, row)
        except Exception as error:  # noqa: BLE001 # damaged JSON may cause any error
            return f"Cannot be read: {error}"

    return shown


@admin.register(StoredJob)
class StoredJobAdmin(ReadOnlyAdmin[StoredJob]):
    """Jobs, the newest first."""

    list_display = (
        "task_path",
        "state",
        "queue_name",
        "priority",
        "available_at",
        "is_readable",
        "id",
    )
    list_filter = ("state", "queue_name")
    search_fields = ("id", "task_path")
    ordering = ("-id",)
    fields = (
        "id",
        "task_path",
        "queue_name",
        "priority",
        "backend",
        "state",
        "limit_group",
        "problem",
        "call",
        "returned",
        "noted",
        "workers",
        "tracebacks",
        "enqueued_at",
        "run_after",
        "available_at",
        "started_at",
        "last_attempted_at",
        "finished_at",
    )
    readonly_fields = fields

    @admin.display(description="readable", boolean=True)
    def is_readable(self, row: StoredJob) -> bool:
        """Return True if this version can read the row."""
        return problem_of(_job_of(row)) is None

    @admin.display
    def problem(self, row: StoredJob) -> str:
        """Return the reason why this version cannot read the row."""
        return str(problem_of(_job_of(row)) or "—")

    @admin.display(description="arguments")
    @_whatever_is_stored
    def call(self, row: StoredJob) -> str:
        """The arguments, as in the source of a call; of a row of a map, those of its first one."""
        result = _result_of(row)
        shown = [*map(repr, result.args), *(f"{k}={v!r}" for k, v in result.kwargs.items())]
        return f"{_how_many(row)}{', '.join(shown)}"

    @admin.display(description="return value")
    @_whatever_is_stored
    def returned(self, row: StoredJob) -> str:
        """The return value of a successful call."""
        result = _result_of(row)
        if result.status != "SUCCESSFUL":
            return "—"
        return f"{_how_many(row)}{result.return_value!r}"

    @admin.display(description="metadata")
    @_whatever_is_stored
    def noted(self, row: StoredJob) -> str:
        """What the caller and the task have noted down, and how far the task is."""
        result = _result_of(row)
        lines = [f"{name}: {value!r}" for name, value in result.metadata.items()]
        if (progress := result.progress) is not None:
            total = "" if progress.total is None else f" of {progress.total:g}"
            lines.append(f"{progress.done:g}{total} done {progress.message}".rstrip())
        return "\n".join(lines) or "—"

    @admin.display
    def workers(self, row: StoredJob) -> str:
        """The workers of all attempts."""
        return "\n".join(_result_of(row).worker_ids) or "—"

    @admin.display
    def tracebacks(self, row: StoredJob) -> str:
        """The errors of all attempts."""
        text = "\n".join(f"{_attempt(error)}{error.traceback}" for error in _result_of(row).errors)
        return format_html("<pre>{}</pre>", text) if text else "—"


@admin.register(StoredMap)
class StoredMapAdmin(ReadOnlyAdmin[StoredMap]):
    """Maps, the newest first."""

    list_display = ("task_path", "stored", "is_closed", "enqueued_at", "finished_at", "id")
    list_filter = ("is_closed", "queue_name")
    search_fields = ("id", "task_path")
    ordering = ("-id",)
    fields = (
        "id",
        "task_path",
        "queue_name",
        "priority",
        "backend",
        "stored",
        "is_closed",
        "result_id",
        "enqueued_at",
        "finished_at",
    )
    readonly_fields = fields


@admin.register(RegisteredWorker)
class RegisteredWorkerAdmin(ReadOnlyAdmin[RegisteredWorker]):
    """Worker processes."""

    list_display = ("worker_id", "backend", "started_at", "heard_at", "leased_until")
    ordering = ("worker_id",)


def _attempt(error: TaskError) -> str:
    # The line above each traceback; none where nobody made an attempt.
    if error.started_at is None or error.finished_at is None:
        return ""
    took = (error.finished_at - error.started_at).total_seconds()
    return f"{error.started_at:%Y-%m-%d %H:%M:%S}, after {took:.3f} s, by {error.worker_id}:\n"


def _how_many(row: StoredJob) -> str:
    # What stands before what the first of many calls has.
    spec = spec_of(None if row.options is None else bytes(row.options))
    if spec is None or not spec.has_chunks:
        return ""
    number = len(items_in(bytes(row.arguments)))
    return f"{number:,} calls, the first of them: " if number > 1 else ""


def _result_of(row: StoredJob) -> TaskResult[Any]:
    return TaskResult.from_job(_job_of(row))


def _job_of(row: StoredJob) -> Job:
    columns = {name: getattr(row, name) for name in Job._fields}
    for field in StoredJob._meta.get_fields():
        if isinstance(field, models.Field) and columns.get(field.name) is not None:
            columns[field.name] = field.get_prep_value(columns[field.name])
    return Job(**columns)
