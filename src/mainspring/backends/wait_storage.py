"""The storage verbs for callers that wait for a result or a map."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Watch(NamedTuple):
    """A caller's wait for one job."""

    is_live: Callable[[], bool]
    """Return True if the store currently notifies the caller; otherwise the caller must poll."""
    forget: Callable[[], None]
    """A function that ends the watch."""


class Pulse(NamedTuple):
    """The workers of a store, as seen by a caller."""

    heard: Mapping[str, int]
    """By worker: when it last renewed its lease, according to its own clock."""
    lease: float
    """The duration of a lease, in seconds."""


class WaitStorage:
    """The verbs for callers that wait. All of them are optional."""

    def watch(self, job_id: str, call: Callable[[], None]) -> Watch | None:
        """Call ``call``, in any thread, whenever a job may have finished.

        Return None if the store cannot notify callers, which then poll.
        """
        return None

    def require_visible(self, name: str, watched_id: str | None, map_id: str | None) -> None:
        """Raise ``TransactionManagementError`` if the wait could never end.

        This is so if the caller's transaction hides the end of the job or map that it waits for.
        """

    def pulse(self) -> Pulse | None:
        """Return the registered workers, or None if the process itself runs the tasks."""
        return None
