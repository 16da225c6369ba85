"""The tables. Statements in sql/ work on them; the ORM is for the admin and for people."""

from typing import Any, Final

from django.core.checks import CheckMessage
from django.db import models
from django.db.models import Q

from mainspring.backends.database.fields import MomentField
from mainspring.backends.database.schedule_models import ScheduleEntry, ScheduleState
from mainspring.core.jobs import State

__all__ = [
    "HeldJob",
    "LimitUse",
    "PausedQueue",
    "RegisteredWorker",
    "ScheduleEntry",
    "ScheduleState",
    "StoredJob",
    "StoredMap",
    "UniqueCall",
]

_STATES: Final = [(state.value, state.name.capitalize()) for state in State]


class StoredJob(models.Model):
    """One job: the columns of :class:`mainspring.core.jobs.Job`, in its order."""

    id = models.CharField(primary_key=True, max_length=32, editable=False)
    backend = models.CharField(max_length=64)
    task_path = models.CharField("task", max_length=255)
    queue_name = models.CharField("queue", max_length=64)
    priority = models.SmallIntegerField()
    available_at = MomentField()
    state = models.SmallIntegerField(choices=_STATES)
    claim = models.BigIntegerField(null=True)
    arguments = models.BinaryField()
    run_after = MomentField(null=True)
    enqueued_at = MomentField()
    options = models.BinaryField(null=True)
    metadata = models.BinaryField(null=True)
    limit_group = models.CharField(max_length=255, null=True)  # noqa: DJ001 # most have none
    started_at = MomentField(null=True)
    last_attempted_at = MomentField(null=True)
    finished_at = MomentField(null=True)
    worker_ids = models.BinaryField(null=True)
    errors = models.BinaryField(null=True)
    return_value = models.BinaryField(null=True)

    class Meta:
        db_table = "mainspring_job"
        verbose_name = "job"
        indexes = [
            # Unfinished rows only: a claim costs the same beside ten million finished ones.
            models.Index(
                fields=["backend", "queue_name", "priority", "available_at"],
                name="mainspring_job_ready",
                condition=Q(state=State.READY.value),
            ),
            models.Index(
                fields=["backend", "available_at"],
                name="mainspring_job_scheduled",
                condition=Q(state=State.SCHEDULED.value),
            ),
            models.Index(
                fields=["claim"],
                name="mainspring_job_running",
                condition=Q(state=State.RUNNING.value),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_path} {self.id}"

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        """Leave out that MariaDB has no partial indexes: its table has others."""
        return [message for message in super().check(**kwargs) if message.id != "models.W037"]


class UniqueCall(models.Model):
    """One key of unique calls, and the job that stands for all calls of that key."""

    key = models.CharField(primary_key=True, max_length=64, editable=False)
    job_id = models.CharField(max_length=32)
    expires_at = MomentField(null=True)

    class Meta:
        db_table = "mainspring_unique"
        verbose_name = "unique call"
        indexes = [models.Index(fields=["job_id"], name="mainspring_unique_job")]

    def __str__(self) -> str:
        return f"{self.key} {self.job_id}"


class HeldJob(models.Model):
    """One job that waits for its limits, in the order in which those of its group go on."""

    id = models.CharField(primary_key=True, max_length=32, editable=False)
    backend = models.CharField(max_length=64)
    limit_group = models.CharField(max_length=255)
    level = models.SmallIntegerField()
    """The lower first."""
    place = models.BigIntegerField()
    """Within a level, the lower first."""
    available_at = MomentField()

    class Meta:
        db_table = "mainspring_held"
        verbose_name = "held job"
        indexes = [
            models.Index(
                fields=["backend", "limit_group", "level", "place"], name="mainspring_held_order"
            ),
            models.Index(
                fields=["backend", "limit_group", "available_at"], name="mainspring_held_age"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.limit_group} {self.id}"


class LimitUse(models.Model):
    """One limit, and the calls that it has admitted: see core/admission.py."""

    name = models.CharField(primary_key=True, max_length=128, editable=False)
    used = models.BinaryField()
    idle_at = MomentField()
    """From when nothing that matters may be left of it."""

    class Meta:
        db_table = "mainspring_limit"
        verbose_name = "limit"

    def __str__(self) -> str:
        return self.name


class StoredMap(models.Model):
    """One map: the columns of :class:`mainspring.core.chunks.MapRecord`, in its order."""

    id = models.CharField(primary_key=True, max_length=32, editable=False)
    backend = models.CharField(max_length=64)
    task_path = models.CharField("task", max_length=255)
    options = models.BinaryField()
    queue_name = models.CharField("queue", max_length=64)
    priority = models.SmallIntegerField()
    enqueued_at = MomentField()
    stored = models.BigIntegerField("calls", default=0)
    is_closed = models.BooleanField("is complete", default=False)
    follow_up = models.BinaryField(null=True)
    level = models.SmallIntegerField(default=0)
    result_id = models.CharField(max_length=32, null=True)  # noqa: DJ001 # most have none
    finished_at = MomentField(null=True)

    class Meta:
        db_table = "mainspring_map"
        verbose_name = "map"
        indexes = [models.Index(fields=["backend", "finished_at"], name="mainspring_map_finished")]

    def __str__(self) -> str:
        return f"{self.task_path} {self.id}"


class PausedQueue(models.Model):
    """One queue that nothing is claimed from."""

    pk = models.CompositePrimaryKey("backend", "queue_name")
    backend = models.CharField(max_length=64)
    queue_name = models.CharField("queue", max_length=64)
    paused_at = MomentField()

    class Meta:
        db_table = "mainspring_pause"
        verbose_name = "paused queue"

    def __str__(self) -> str:
        return self.queue_name


class RegisteredWorker(models.Model):
    """One worker process and its lease."""

    token = models.BigIntegerField(primary_key=True)
    worker_id = models.CharField(max_length=128)
    backend = models.CharField(max_length=64)
    started_at = MomentField()
    heard_at = MomentField()
    leased_until = MomentField()

    class Meta:
        db_table = "mainspring_worker"
        verbose_name = "worker"

    def __str__(self) -> str:
        return self.worker_id
