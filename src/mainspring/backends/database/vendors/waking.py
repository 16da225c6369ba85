"""Wake the workers and callers that wait: the part of a dialect that the storage needs for it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.wait_storage import Watch


class Waking(ABC):
    """The part of a :class:`~mainspring.backends.database.vendors.base.Dialect` that wakes."""

    @abstractmethod
    def notify(self, connection: BaseDatabaseWrapper) -> None:
        """Wake the waiting workers of all processes. ``connection`` has committed."""

    def tell_settled(self, connection: BaseDatabaseWrapper, ids: Sequence[str]) -> None:  # noqa: B027
        """Notify the callers that wait for these results, if the database can."""

    @abstractmethod
    def forget_notifications(self) -> bool:
        """Discard pending notifications of :meth:`notify`. Return True if there were any."""

    @abstractmethod
    def wait(self, timeout: float, look: Callable[[], bool]) -> bool:
        """Wait for :meth:`notify` or :meth:`interrupt`; False if none came in ``timeout`` seconds.

        ``look`` returns True if any job is ready, for a database that cannot notify.
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
