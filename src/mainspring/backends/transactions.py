"""Transactions in which tasks run and their outcomes are settled: what atomic tasks need."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mainspring.core.jobs import Job, Outcome

type Hooks = Callable[[], None]
"""Calls what a task has asked for to be called after the commit."""


class Noted(NamedTuple):
    """The metadata of a claimed job, as it is to be stored."""

    job: Job
    metadata: bytes | None


class Transaction(ABC):
    """One transaction of the thread that began it, on the connection that its tasks use.

    Tasks run in it one after the other: for each, :meth:`mark`, the task itself, then :meth:`keep`
    or :meth:`undo`. In the end, :meth:`settle` or :meth:`roll_back`.
    """

    alias: str
    """Of the database in ``DATABASES``: nobody else may commit or close its connection."""

    is_broken = False
    """Whether a task has done to it what :meth:`undo` cannot take back: to be rolled back whole."""

    @abstractmethod
    def mark(self) -> None:
        """Begin a task: :meth:`undo` goes back to here. Raises ``StoreUnavailable``."""

    @abstractmethod
    def keep(self) -> Hooks | None:
        """End a task that returned.

        Raises Django's ``TransactionManagementError`` if it did not leave the transaction as it
        was; then :meth:`undo` is to follow.
        """

    @abstractmethod
    def undo(self) -> None:
        """End a task that raised: take back what it wrote; raises nothing."""

    @abstractmethod
    def is_conflict(self, error: BaseException) -> bool:
        """Whether a task raised this because another transaction was in the way of this one."""

    @abstractmethod
    def settle(self, outcomes: Sequence[Outcome], noted: Sequence[Noted] = ()) -> list[str]:
        """Store metadata and outcomes together with what the tasks wrote, all or nothing.

        Return the ids of those whose claim no longer holds: if there are any, nothing was stored.
        Raises ``StoreUnavailable`` where the store could not or did not answer: only
        :meth:`Storage.stored` can tell, then. Whatever else it raises is a task's fault, as a
        constraint that is checked by the commit, and nothing was stored.
        """

    @abstractmethod
    def roll_back(self) -> None:
        """Take back everything; raises nothing."""


def as_rows(noted: Sequence[Noted]) -> list[tuple[Any, ...]]:
    """Return metadata as what stores write: metadata, id, claim."""
    return [(one.metadata, one.job.id, one.job.claim) for one in noted]
