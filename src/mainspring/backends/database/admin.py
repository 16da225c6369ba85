"""The admin: jobs and workers to look at, by those who have Django's permission to view them."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html

from mainspring.backends.database.models import RegisteredWorker, StoredJob
from mainspring.core import codec
from mainspring.core.jobs import Job
from mainspring.core.results import TaskResult


class _ReadOnlyAdmin[M: models.Model](admin.ModelAdmin):  # type: ignore[type-arg] # not generic at run time
    show_full_result_count = False  # counting millions of rows takes seconds

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(StoredJob)
class StoredJobAdmin(_ReadOnlyAdmin[StoredJob]):
    """Jobs, the newest first."""

    list_display = ("task_path", "state", "queue_name", "priority", "available_at", "id")
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
        "call",
        "returned",
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

    @admin.display(description="arguments")
    def call(self, row: StoredJob) -> str:
        """The arguments, as in the source of a call."""
        args, kwargs = codec.decode_call(bytes(row.arguments))
        return ", ".join(
            [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        )

    @admin.display(description="return value")
    def returned(self, row: StoredJob) -> str:
        """The return value of a successful call."""
        result = _result_of(row)
        return repr(result.return_value) if result.status == "SUCCESSFUL" else "—"

    @admin.display
    def workers(self, row: StoredJob) -> str:
        """The workers of all attempts."""
        return "\n".join(_result_of(row).worker_ids) or "—"

    @admin.display
    def tracebacks(self, row: StoredJob) -> str:
        """The errors of all attempts."""
        text = "\n".join(error.traceback for error in _result_of(row).errors)
        return format_html("<pre>{}</pre>", text) if text else "—"


@admin.register(RegisteredWorker)
class RegisteredWorkerAdmin(_ReadOnlyAdmin[RegisteredWorker]):
    """Worker processes."""

    list_display = ("worker_id", "backend", "started_at", "heard_at", "leased_until")
    ordering = ("worker_id",)


def _result_of(row: StoredJob) -> TaskResult[Any]:
    columns = {name: getattr(row, name) for name in Job._fields}
    for field in StoredJob._meta.get_fields():
        if isinstance(field, models.Field) and columns.get(field.name) is not None:
            columns[field.name] = field.get_prep_value(columns[field.name])
    return TaskResult.from_job(Job(**columns))
