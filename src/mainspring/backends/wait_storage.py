"""The storage verbs for callers that wait for a result or a map."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Watch(NamedTuple):
    """A caller's wait for one job."""

    is_live: Callable[[], bool]
    """Whether the caller would be told just now; else it has to look by itself."""
    forget: Callable[[], None]
    """Ends the watch."""


class Pulse(NamedTuple):
    """Who works on a store, as far as a caller can tell."""

    heard: Mapping[str, int]
    """By worker: when it last renewed its lease, by its own clock."""
    lease: float
    """How many seconds a lease lasts."""


class WaitStorage:
    """The verbs of those who wait; a store that has no answer needs none of them."""

    def watch(self, job_id: str, call: Callable[[], None]) -> Watch | None:
        """Have ``call`` called, in any thread, whenever a job may have finished.

        None where the store cannot tell: then callers look by themselves.
        """
        return None

    def require_visible(self, name: str, watched_id: str | None, map_id: str | None) -> None:
        """Raise ``TransactionManagementError`` if the caller would wait in vain.

        That is where the caller's transaction hides the end of the job, or map, that it waits for.
        """

    def pulse(self) -> Pulse | None:
        """Return which workers there are; None where the process itself works on the store."""
        return None
