"""What the errors of a database mean."""

from abc import ABC, abstractmethod

from django.db import DataError, IntegrityError

from mainspring.exceptions import StoreLocked, StoreRefused, StoreUnavailable


class Trouble(ABC):
    """What a dialect knows of its database's errors."""

    @abstractmethod
    def explain(self, error: Exception) -> str:
        """Return one line that says what is wrong with the database and what to do."""

    @abstractmethod
    def is_transient(self, error: Exception) -> bool:
        """Whether the statement that raised had no effect and may pass if tried again."""

    def is_locked_out(self, error: BaseException) -> bool:
        """Whether another transaction has held a lock for too long."""
        return False

    def is_refusal(self, error: Exception) -> bool:
        """Whether the same statement would end the same way, whenever it is tried."""
        return isinstance(error, DataError | IntegrityError)

    def failure(self, error: Exception) -> StoreUnavailable:
        """Return what is raised in the place of a database's error."""
        kind = StoreUnavailable
        if self.is_locked_out(error):
            kind = StoreLocked
        elif self.is_refusal(error):
            kind = StoreRefused
        return kind(self.explain(error))

    def has_lost_connection(self, error: Exception) -> bool:
        """Whether the connection is gone, so that a new one may do."""
        return False

    def find_blocker(self) -> int | None:
        """See :meth:`Storage.find_blocker`."""
        return None
