"""What the storage needs of each database for those who wait: to be woken."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.wait_storage import Watch


class Waking(ABC):
    """The part of a :class:`~mainspring.backends.database.vendors.base.Dialect` that wakes."""

    @abstractmethod
    def notify(self, connection: BaseDatabaseWrapper) -> None:
        """Wake the workers that wait, in whichever process; ``connection`` has committed."""

    def tell_settled(self, connection: BaseDatabaseWrapper, ids: Sequence[str]) -> None:  # noqa: B027
        """Tell the callers that wait for these results, where the database can."""

    @abstractmethod
    def forget_notifications(self) -> bool:
        """Take back what :meth:`notify` left; whether there was something."""

    @abstractmethod
    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Wait for :meth:`notify` or :meth:`interrupt`; whether one came within ``timeout`` s.

        ``look`` tells whether any job is ready, for a database that cannot notify.
        """

    def watch(self, job_id: str, call: Callable[[], None]) -> Watch | None:
        """See :meth:`Storage.watch`."""
        return None

    @abstractmethod
    def interrupt(self) -> None:
        """End the present or next :meth:`wait` of this process."""

    @abstractmethod
    def close(self) -> None:
        """Give up what waiting and notifying hold open."""
