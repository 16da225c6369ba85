"""Claims: chosen and locked with SKIP LOCKED, then marked by their primary keys."""

from collections.abc import Iterable, Iterator
from typing import Any

from mainspring.backends.database.claims import Batch, Wanted, newest_first, oldest_first
from mainspring.backends.database.skipping import Skipping
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.database.vendors.mysql.choosing import Choosing, Note
from mainspring.backends.database.vendors.mysql.groups import Group, Level, groups, mark
from mainspring.backends.database.vendors.mysql.searches import Searches


class Claims:
    """Claims for one backend alias, in the caller's transaction.

    Each query reads one index in order and locks only the rows that it takes, so that another
    worker can take other rows at the same time.
    """

    def __init__(self, backend: str, order: str, skipping: Skipping, searches: Searches) -> None:
        self._backend = backend
        self._newest_first = order == "lifo"
        self._skipping = skipping
        self.choosing = Choosing(backend, self._newest_first, skipping, searches)
        """Claims while dead entries are skipped."""

    def take(self, cursor: Any, wanted: Wanted, notes: list[Note]) -> list[Batch]:
        """See :meth:`Storage.claim`; append to ``notes`` the functions to call after the commit."""
        batches: list[Batch] = []
        left, found = wanted.limit, list(groups(self._backend, wanted))
        self._skipping.asked([group.source for group in found])
        for group in found:
            parts = (
                self.choosing.take(cursor, wanted, group, left, notes)
                if self._skipping.is_on
                else self._take(cursor, wanted, group, left)
            )
            for batch in parts:
                if batch.rows:
                    batches.append(batch)
                    left -= len(batch.rows)
            if not left:
                break
        return batches

    def _take(self, cursor: Any, wanted: Wanted, group: Group, left: int) -> Iterator[Batch]:
        if wanted.is_fair_turn:
            levels = list(group.levels(cursor))
            priority = group.longest_waiting(cursor, levels)
            if priority is None:
                return
            rows = _oldest(cursor, group, [one for one in levels if one[0] == priority], left)
            mark(cursor, wanted.claim, rows)
            yield Batch(rows, oldest_first, self._backend, wanted.claim)
            left -= len(rows)
            if not (rows and left):
                return
        rows = self._first(cursor, group, left)
        mark(cursor, wanted.claim, rows)
        order = newest_first if self._newest_first else oldest_first
        yield Batch(rows, order, self._backend, wanted.claim)

    def _first(self, cursor: Any, group: Group, limit: int) -> list[Row]:
        # Return the first jobs in the order of the backend.
        if self._newest_first:  # in one statement
            return group.rows(cursor, "newest", limit)
        return _oldest(cursor, group, group.levels(cursor), limit)


def _oldest(cursor: Any, group: Group, levels: Iterable[Level], limit: int) -> list[Row]:
    rows: list[Row] = []
    for level in levels:
        rows += group.rows(cursor, "oldest", *level, limit - len(rows))
        if len(rows) >= limit:
            break
    return rows
