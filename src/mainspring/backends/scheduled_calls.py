"""The calls of a schedule: the jobs that its ticks enqueue."""

from typing import TYPE_CHECKING, Any

from mainspring.backends.base import MainspringBackend
from mainspring.core import codec, registry
from mainspring.core.clock import EPOCH, MICROSECOND
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, State
from mainspring.core.notes import SCHEDULE, encode_metadata
from mainspring.core.schedules import Schedule, run_at
from mainspring.core.unique import Unique, unique_of

if TYPE_CHECKING:
    from mainspring.core.tasks import Task


class ScheduledCalls:
    """Makes those of one schedule.

    Raises ``TaskNotFound``, or ``InvalidTask`` where the schedule does not fit its task any more.
    """

    def __init__(self, backend: MainspringBackend, schedule: Schedule) -> None:
        self._backend = backend
        self._schedule = schedule
        self._task: Task[..., Any] = registry.resolve(schedule.task_path).using(
            queue_name=schedule.queue_name, priority=schedule.priority
        )
        self._args, self._kwargs = codec.decode_call(schedule.arguments)

    def call(self, tick: int, now: int) -> tuple[Job, Unique | None]:
        """Return the job of a tick, not stored yet, and what makes it unique, if anything does."""
        made = self._backend.new_job(self._task, self._args, self._kwargs)
        at = run_at(self._schedule, tick)
        state = State.READY if made.limit_group is None else State.HELD
        job = made._replace(
            id=new_id(now),
            enqueued_at=now,
            available_at=max(at, now),
            run_after=at if at > now else None,
            state=State.SCHEDULED if at > now else state,
            metadata=self._metadata(tick),
        )
        return job, unique_of(self._task, job)

    def _metadata(self, tick: int) -> bytes | None:
        told = {
            "name": self._schedule.name,
            "tick": (EPOCH + tick * MICROSECOND).isoformat(),
        }
        most = self._backend.config.options.max_payload
        return encode_metadata(self._task.metadata or {}, most, {SCHEDULE: told})

    def enqueue_now(self) -> Any:
        """Enqueue one call beside the ticks, and return its result to be."""
        return self._backend.enqueue(self._task, self._args, self._kwargs)
