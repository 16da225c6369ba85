"""The tables of schedules: how far each has come, and those that people add."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS
from django.tasks.exceptions import InvalidTaskBackend

from mainspring.backends.base import mainspring_backend
from mainspring.backends.database.fields import MomentField
from mainspring.core import clock
from mainspring.core.entries import Entry, NotAnEntry, schedule_of
from mainspring.core.schedules import declared_schedules


class ScheduleState(models.Model):
    """How far one schedule has come: see core/schedule_states.py."""

    backend = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    declared_at = MomentField()
    last_tick = MomentField()
    is_paused = models.BooleanField("paused", default=False)
    seen_at = MomentField()
    last_job_id = models.CharField("last result", max_length=32, null=True)  # noqa: DJ001 # a new one has none

    class Meta:
        db_table = "mainspring_schedule"
        verbose_name = "schedule state"
        constraints = [
            models.UniqueConstraint(fields=["backend", "name"], name="mainspring_schedule_name")
        ]

    def __str__(self) -> str:
        return self.name


class ScheduleEntry(models.Model):
    """A schedule that somebody has added: see core/entries.py."""

    backend = models.CharField(max_length=64, default=DEFAULT_TASK_BACKEND_ALIAS)
    name = models.CharField(max_length=255)
    task = models.CharField(max_length=255, help_text="One of those that EXPOSED_TASKS names.")
    cron = models.CharField(
        "cron expression",
        max_length=255,
        blank=True,
        help_text="Minute, hour, day of the month, month, day of the week: 0 8 * * MON-FRI",
    )
    every = models.PositiveIntegerField(
        "interval", null=True, blank=True, help_text="Seconds, instead of a cron expression."
    )
    timezone = models.CharField(
        "time zone",
        max_length=64,
        blank=True,
        help_text="Such as Europe/Berlin; empty for TIME_ZONE.",
    )
    args = models.TextField("arguments", default="[]", help_text="A list, as JSON.")
    kwargs = models.TextField("keyword arguments", default="{}", help_text="An object, as JSON.")
    queue_name = models.CharField(
        "queue", max_length=64, blank=True, help_text="Empty for that of the task."
    )
    priority = models.SmallIntegerField(
        null=True, blank=True, help_text="Empty for that of the task."
    )
    jitter = models.PositiveIntegerField(
        default=0, help_text="How many seconds a call may be put off."
    )
    catch_up = models.CharField(
        max_length=8,
        default="latest",
        choices=[("latest", "the newest"), ("none", "none"), ("all", "all")],
        help_text="Which ticks are made up for that passed while no worker was there.",
    )
    overlap = models.CharField(
        max_length=8,
        default="queue",
        choices=[("queue", "enqueue another"), ("skip", "pass over the tick")],
        help_text="While the last call is unfinished.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    changed_at = MomentField(editable=False)

    class Meta:
        db_table = "mainspring_schedule_entry"
        verbose_name = "schedule"
        constraints = [
            models.UniqueConstraint(fields=["backend", "name"], name="mainspring_entry_name")
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, **kwargs: Any) -> None:
        """Save it; workers go by it within seconds."""
        # Later than before, whatever this machine's clock shows: the latest declaration prevails.
        before = 0 if self.changed_at is None else clock.to_moment(self.changed_at)
        self.changed_at = clock.to_datetime(max(clock.now(), before + 1))
        if (fields := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*fields, "changed_at"}
        super().save(**kwargs)

    def as_entry(self) -> Entry:
        """Return it as the rest of the code knows it."""
        values = {name: getattr(self, name) for name in Entry._fields if name != "changed_at"}
        return Entry(**values)

    def clean(self) -> None:
        """Raise ``ValidationError``, for the field, where it makes no sense."""
        try:
            config = mainspring_backend(self.backend).config
        except InvalidTaskBackend as error:
            raise ValidationError({"backend": str(error)}) from None
        try:
            schedule_of(self.as_entry(), self.backend, config.options)
        except NotAnEntry as error:
            raise ValidationError({error.field: str(error)}) from None
        declared = declared_schedules(self.backend, config.options, [])
        if any(one.name == self.name for one in declared):
            raise ValidationError({"name": "A schedule of the code or the settings has this name."})
