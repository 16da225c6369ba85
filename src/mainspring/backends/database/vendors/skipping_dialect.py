"""Base class for databases whose indexes keep dead entries while a transaction stays open."""

from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.skipping import Skipping
from mainspring.backends.database.vendors.base import Dialect
from mainspring.conf import Options


class SkippingDialect(Dialect):
    """Remembers the index parts that claims and looks found empty."""

    def __init__(self, connection: BaseDatabaseWrapper, backend: str, options: Options) -> None:
        super().__init__(connection, backend, options)
        self._skipping = Skipping()

    def due_from(self) -> int:
        """Return the earliest time that is not skipped."""
        return self._skipping.due_from()

    def none_due(self, due_from: int, next_at: int | None) -> None:
        """Skip that interval from now on."""
        self._skipping.none_due(due_from, next_at)

    def ready_again(self, moments: Iterable[int], are_ends: bool = False) -> None:
        """Stop skipping there. :meth:`notify` reports it to other processes, if it can."""
        self._skipping.ready_again(moments, are_ends)
