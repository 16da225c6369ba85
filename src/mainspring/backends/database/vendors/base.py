"""What the storage needs of each database."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.core.checks import CheckMessage
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.statements import statement

Row = tuple[Any, ...]


class Dialect(ABC):
    """One database: its statements, its transactions, its ways to wake a worker."""

    vendor: ClassVar[str]

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.alias = connection.alias

    def sql(self, name: str) -> str:
        """Return this database's statement of that name."""
        return statement(self.vendor, name)

    @property
    @abstractmethod
    def identity(self) -> str:
        """A text that is the same wherever the same database is meant, and only there."""

    @abstractmethod
    def check(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """Return what in the database's settings stands in the way of many writers."""

    @abstractmethod
    def prepare_database(self, connection: BaseDatabaseWrapper) -> None:
        """Make the database ready for many writers; lasting, harmless to repeat."""

    @abstractmethod
    def new_connection(self, connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        """Return a connection for a worker's own use, apart from Django's ``connection``."""

    @abstractmethod
    def write(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """Run the block in one short write transaction on a worker's connection; give a cursor."""

    def insert_at_once(self, connection: BaseDatabaseWrapper, row: Row) -> bool:
        """Insert one job on the caller's connection with less ado than a cursor of Django's.

        False if that cannot be done just now: then nothing was, and a cursor will tell why.
        """
        return False

    @abstractmethod
    def claim_newest(self, cursor: Any, queue: Row, limit: int) -> list[Row]:
        """Claim by priority, the newest first; ``queue`` is (claim, backend, queue_name)."""

    @abstractmethod
    def claim_oldest(self, cursor: Any, queue: Row, priority: int, limit: int) -> list[Row]:
        """Claim the oldest jobs of one priority; ``queue`` as in :meth:`claim_newest`."""

    @abstractmethod
    def claim_chosen(self, cursor: Any, claim: int, ids: Sequence[str]) -> list[Row]:
        """Claim the jobs of these ids that are ready."""

    @abstractmethod
    def settle(self, cursor: Any, outcomes: Sequence[Row]) -> list[str]:
        """Write outcomes whose claims hold; return the ids of the others."""

    @abstractmethod
    def explain(self, error: Exception) -> str:
        """Return one line that says what is wrong with the database and what to do."""

    @abstractmethod
    def is_transient(self, error: Exception) -> bool:
        """Whether the statement that raised had no effect and may pass if tried again."""

    @abstractmethod
    def notify(self) -> None:
        """Wake the workers that wait, in whichever process."""

    @abstractmethod
    def forget_notifications(self) -> bool:
        """Take back what :meth:`notify` left; whether there was something."""

    @abstractmethod
    def wait(self, timeout: float) -> bool:
        """Wait for :meth:`notify` or :meth:`interrupt`; whether one came within ``timeout`` s."""

    @abstractmethod
    def interrupt(self) -> None:
        """End the present or next :meth:`wait` of this process."""

    @abstractmethod
    def close(self) -> None:
        """Give up what waiting and notifying hold open."""
