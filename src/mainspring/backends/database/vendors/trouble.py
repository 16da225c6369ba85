"""Interpret the errors of a database."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import DataError, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.exceptions import StoreLocked, StoreRefused, StoreUnavailable


class Trouble(ABC):
    """A dialect's interpretation of its database's errors."""

    behind: Collection[int] = ()
    """The ids of driver connections that were behind when last checked; see :meth:`is_behind`."""

    @abstractmethod
    def explain(self, error: Exception) -> str:
        """Return one line that says what is wrong with the database and what to do."""

    @abstractmethod
    def is_transient(self, error: Exception) -> bool:
        """Return True if the failed statement had no effect and may succeed when retried."""

    def is_locked_out(self, error: BaseException) -> bool:
        """Return True if another transaction has held a lock for too long."""
        return False

    def is_refusal(self, error: Exception) -> bool:
        """Return True if the same statement would always fail."""
        return isinstance(error, DataError | IntegrityError)

    def failure(self, error: Exception) -> StoreUnavailable:
        """Return the exception to raise instead of a database's error."""
        kind = StoreUnavailable
        if self.is_locked_out(error):
            kind = StoreLocked
        elif self.is_refusal(error):
            kind = StoreRefused
        return kind(self.explain(error))

    def has_lost_connection(self, error: Exception) -> bool:
        """Return True if the connection is lost, so that a new one may work."""
        return False

    def is_read_only(self, error: Exception) -> bool:
        """Return True if the server refused to write, and did nothing, as a standby does.

        After a failover, a new connection leads to another server.
        """
        return False

    def is_conflict(self, error: Exception) -> bool:
        """Return True if the whole transaction may succeed when retried."""
        return self.is_transient(error) and not self.is_locked_out(error)

    def is_behind(self, error: Exception) -> bool:
        """Return True if the connection cannot write, because it reads an outdated state.

        Outside a transaction, this happens if the caller has not read a result to its end.
        """
        return False

    def may_be_behind(self, connection: BaseDatabaseWrapper) -> bool:
        """Return True if an open read may keep a connection in the past, outside a transaction."""
        return False

    def caught_up(self, connection: BaseDatabaseWrapper) -> None:  # noqa: B027
        """Forget that a connection was behind."""

    @contextmanager
    def apart(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Have ``connection`` use another connection to its database during the block."""
        yield

    def find_blocker(self) -> int | None:
        """See :meth:`Storage.find_blocker`."""
        return None
