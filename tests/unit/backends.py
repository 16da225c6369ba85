"""Backends for tests that need stored results and no worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mainspring import Task
from mainspring.backends.base import MainspringBackend
from mainspring.core.jobs import Job


class KeptStorage:
    """The verbs that enqueueing, looking up and waiting need."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    def enqueue(self, jobs: Sequence[Job]) -> None:
        self.jobs.update((job.id, job) for job in jobs)

    def get_results(self, ids: Sequence[str]) -> list[Job]:
        return [self.jobs[one] for one in ids if one in self.jobs]

    def require_visible(self, *_ids: str) -> None:
        """Nothing hides what this holds."""

    def watch(self, job_id: str, call: Callable[[], None]) -> None:
        """Nobody is told."""


KEPT = KeptStorage()


class KeptBackend(MainspringBackend):
    """Keeps what is enqueued, and runs nothing."""

    storage: Any = KEPT


@dataclass(slots=True, kw_only=True)
class AuditedTask(Task[..., Any]):
    """A task with a field more."""

    owner: str = ""
    tags: tuple[str, ...] = ()


class AuditedBackend(KeptBackend):
    """A backend whose tasks have a field more."""

    task_class = AuditedTask


class LimitedBackend(KeptBackend):
    """A backend that has limits for its queues."""

    options_supported = frozenset({"MAX_PAYLOAD", "QUEUE_LIMITS"})
