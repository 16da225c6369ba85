"""The admin of schedules: those that people add, and how far all of them have come."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.tasks import task_backends

from mainspring.backends.base import MainspringBackend
from mainspring.backends.database.read_only_admin import ReadOnlyAdmin
from mainspring.backends.database.schedule_models import ScheduleEntry, ScheduleState


class ScheduleEntryForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """Lets people choose among the tasks that the code exposes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        backends = _backends()
        chosen = self.instance.task if self.instance.pk else ""
        exposed = {name for one in backends for name in one.config.options.exposed_tasks}
        names = sorted(exposed | ({chosen} if chosen else set()))
        self._choose("task", names)
        self._choose("backend", [one.alias for one in backends])

    def _choose(self, name: str, values: list[str]) -> None:
        if name not in self.fields:  # for who may only look
            return
        known = self.fields[name]
        self.fields[name] = forms.ChoiceField(
            choices=[(value, value) for value in values],
            label=known.label,
            help_text=known.help_text,
            initial=known.initial,
        )


@admin.register(ScheduleEntry)
class ScheduleEntryAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # not generic at run time
    """Schedules to add, change and delete, for those who have Django's permissions to."""

    form = ScheduleEntryForm
    list_display = ("name", "task", "times", "timezone", "is_enabled", "backend")
    list_filter = ("is_enabled", "backend")
    search_fields = ("name", "task")
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "backend", "task", "is_enabled")}),
        ("When", {"fields": ("cron", "timezone", "every", "jitter", "catch_up", "overlap")}),
        ("Call", {"fields": ("args", "kwargs", "queue_name", "priority")}),
    )

    @admin.display(description="times")
    def times(self, row: ScheduleEntry) -> str:
        """When it fires."""
        return row.cron or f"every {row.every} seconds"


@admin.register(ScheduleState)
class ScheduleStateAdmin(ReadOnlyAdmin[ScheduleState]):
    """How far each schedule has come."""

    list_display = ("name", "last_tick", "is_paused", "last_job_id", "backend")
    list_filter = ("is_paused", "backend")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "backend", "last_tick", "is_paused", "last_job_id", "seen_at", "fingerprint")
    readonly_fields = fields


def _backends() -> list[MainspringBackend]:
    # Those whose workers read entries, the default one first.
    found = cast("list[Any]", task_backends.all())
    return [one for one in found if getattr(one, "supports_entries", False)]
