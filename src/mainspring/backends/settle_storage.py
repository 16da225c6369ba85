"""The storage verbs by which a worker gives up what it has claimed: with an outcome, or without."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mainspring.core.jobs import Job, Outcome, Worker


class SettleStorage(ABC):
    """Those verbs; see :class:`~mainspring.backends.storage.Storage`."""

    @abstractmethod
    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """Store outcomes; return the ids of those whose claim no longer held and were dropped.

        To store an outcome that is stored already, as after a lost answer, is no loss. Raises
        ``StoreLocked`` where the row of one of them is locked for long, see :meth:`find_locked`,
        and ``StoreRefused`` where one cannot be stored, too large, for one: then none is stored.
        """

    def find_locked(self, ids: Sequence[str]) -> set[str]:
        """Return the ids of those jobs that others keep from being changed just now."""
        return set()

    @abstractmethod
    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """Give back jobs that were claimed and not started; return how many claims still held."""

    def release_unanswered(self, worker: Worker, *, is_last: bool = False) -> None:
        """Give back what claims have taken whose answers did not come, if it is time to look.

        With ``is_last``, as the worker goes, now. Where no answer can be lost, there is nothing
        to do.
        """
        return
