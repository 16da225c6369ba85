"""The two tables. Statements in sql/ work on them; the ORM is for the admin and for people."""

from typing import Final

from django.db import models
from django.db.models import Q

from mainspring.backends.database.fields import MomentField
from mainspring.core.jobs import State

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
