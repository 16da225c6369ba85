"""What a backend stores and a worker claims."""

from enum import IntEnum
from typing import Final, NamedTuple

from django.tasks import TaskResultStatus


class State(IntEnum):
    """The states of a job; docs/reference/states.md draws them."""

    HELD = -1
    """Waits for a limit; then it becomes ready."""
    SCHEDULED = 0
    READY = 1
    RUNNING = 2
    SUCCESSFUL = 3
    FAILED = 4
    CANCELLED = 5

    @property
    def status(self) -> TaskResultStatus:
        """The one of Django's four states that shows from outside."""
        return STATUS[self]

    @property
    def is_final(self) -> bool:
        """Whether a job never leaves this state."""
        return self >= State.SUCCESSFUL


# By state; the last one is that of HELD, which is -1.
STATUS: Final = (
    TaskResultStatus.READY,
    TaskResultStatus.READY,
    TaskResultStatus.RUNNING,
    TaskResultStatus.SUCCESSFUL,
    TaskResultStatus.FAILED,
    TaskResultStatus.FAILED,
    TaskResultStatus.READY,
)


def status_of(state: int) -> TaskResultStatus:
    """Return Django's status for a stored state; READY if this version does not know the state."""
    try:
        return STATUS[state]
    except IndexError:
        return TaskResultStatus.READY


PLAIN_COLUMNS: Final = 11
"""How many columns a new job without options, metadata and limits has values in: the first ones."""

NEW_COLUMNS: Final = 14
"""How many columns a new job has values in at most: the first ones."""

MOST_CLAIMED: Final = 16 * 1024 * 1024
"""Maximum bytes of arguments in one claim; a single job may have more."""


class Job(NamedTuple):
    """One job, as stored: moments in microseconds, everything structured as JSON bytes."""

    id: str
    backend: str
    task_path: str
    queue_name: str
    priority: int
    available_at: int
    """When it became, or becomes, available: ``run_after``, else ``enqueued_at``, else a retry."""
    state: int
    claim: int | None
    """A number that is new for each claim. An outcome of an earlier claim is dropped."""
    arguments: bytes
    run_after: int | None
    enqueued_at: int
    options: bytes | None = None
    """The fields in which this call's task differs from the declared one; see core/policy.py."""
    metadata: bytes | None = None
    """What the caller and the task have noted down."""
    limit_group: str | None = None
    """Which limits it has to wait for; None for none. See core/limits.py."""
    started_at: int | None = None
    last_attempted_at: int | None = None
    finished_at: int | None = None
    worker_ids: bytes | None = None
    errors: bytes | None = None
    return_value: bytes | None = None


class Outcome(NamedTuple):
    """What a claim came to: new values of a job's columns, and the claim that may write them."""

    id: str
    claim: int
    state: int
    available_at: int
    started_at: int | None
    last_attempted_at: int | None
    finished_at: int | None
    worker_ids: bytes | None
    errors: bytes | None
    return_value: bytes | None


class Worker(NamedTuple):
    """One worker process, as a backend knows it."""

    id: str
    """A unique string that shows the host and process."""
    token: int
    """A random number below 2**31: the upper half of every claim that this worker draws."""

    @property
    def first_claim(self) -> int:
        """The lowest claim that this worker can draw."""
        return self.token << 32

    @property
    def last_claim(self) -> int:
        """The highest claim that this worker can draw."""
        return (self.token << 32) | 0xFFFF_FFFF
