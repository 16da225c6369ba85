"""The storage verbs with which a worker settles or releases the jobs that it has claimed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mainspring.core.jobs import Job, Outcome, Worker


class SettleStorage(ABC):
    """Settle and release jobs. See :class:`~mainspring.backends.storage.Storage`."""

    @abstractmethod
    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """Store outcomes; return the ids of those whose claim no longer held and were dropped.

        An outcome that is already stored, for example after a lost answer, does not count as
        dropped. Raises ``StoreLocked`` if a row stays locked (see :meth:`find_locked`), and
        ``StoreRefused`` if an outcome cannot be stored, for example because it is too large. In
        both cases no outcome is stored.
        """

    def find_locked(self, ids: Sequence[str]) -> set[str]:
        """Return the ids of the jobs that other transactions have locked."""
        return set()

    @abstractmethod
    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """Give back jobs that were claimed and not started; return how many claims still held."""

    def release_unanswered(self, worker: Worker, *, is_last: bool = False) -> None:
        """Release the jobs of claims whose answers were lost, if the next search is due.

        With ``is_last``, when the worker stops, search now. Does nothing in stores where no answer
        can be lost.
        """
        return
