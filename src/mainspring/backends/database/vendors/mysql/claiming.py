"""Claims: chosen and locked with SKIP LOCKED, then marked by their primary keys."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.tasks.base import TASK_MAX_PRIORITY

from mainspring.backends.database.claims import Batch, Wanted, newest_first, oldest_first
from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.storage import ANY_QUEUE


class _Group(NamedTuple):
    """Queues that are claimed from as one."""

    kind: str
    """``named``: one queue; ``any``: all but some."""
    queues: str | Sequence[str]
    """The one, or those to leave out."""


class Claims:
    """Claims for one backend alias, in the caller's transaction.

    Each choice reads one index in its order and locks no more than it takes: what is left, another
    worker may take at the same moment.
    """

    def __init__(self, backend: str, order: str) -> None:
        self._backend = backend
        self._newest_first = order == "lifo"

    def take(self, cursor: Any, wanted: Wanted) -> list[Batch]:
        """See :meth:`Storage.claim`."""
        batches: list[Batch] = []
        left = wanted.limit
        for group in _groups(wanted):
            for batch in self._batches(cursor, wanted, group, left):
                if batch.rows:
                    batches.append(batch)
                    left -= len(batch.rows)
            if not left:
                break
        return batches

    def _batches(self, cursor: Any, wanted: Wanted, group: _Group, left: int) -> Iterator[Batch]:
        if wanted.is_fair_turn:
            rows = self._longest_waiting(cursor, group, left)
            _mark(cursor, wanted.claim, rows)
            yield Batch(rows, oldest_first, self._backend, wanted.claim)
            left -= len(rows)
            if not (rows and left):  # what has no oldest job has none
                return
        if self._newest_first:
            rows = self._rows(cursor, "newest", group, left)
            order = newest_first
        else:
            rows = self._oldest(cursor, group, left)
            order = oldest_first
        _mark(cursor, wanted.claim, rows)
        yield Batch(rows, order, self._backend, wanted.claim)

    def _oldest(self, cursor: Any, group: _Group, limit: int) -> list[Row]:
        rows: list[Row] = []
        for priority in self._priorities(cursor, group):
            rows += self._rows(cursor, "oldest", group, priority, limit - len(rows))
            if len(rows) >= limit:
                break
        return rows

    def _longest_waiting(self, cursor: Any, group: _Group, limit: int) -> list[Row]:
        waiting = [
            (moment, priority)
            for priority in self._priorities(cursor, group)
            for (moment,) in self._rows(cursor, "since", group, priority)
        ]
        if not waiting:
            return []
        _, priority = min(waiting)
        return self._rows(cursor, "oldest", group, priority, limit)

    def _priorities(self, cursor: Any, group: _Group) -> Iterator[int]:
        # Those of the ready jobs, the highest first.
        below = TASK_MAX_PRIORITY + 1
        while found := self._rows(cursor, "next", group, below):
            ((below,),) = found
            yield below

    def _rows(self, cursor: Any, name: str, group: _Group, *values: int) -> list[Row]:
        sql = statement("mysql", f"{name}_{group.kind}")
        cursor.execute(sql, (self._backend, group.queues, *values))
        return list(cursor.fetchall())


def _groups(wanted: Wanted) -> Iterator[_Group]:
    # Named queues one after the other; the queues that "*" stands for as equals.
    for queue in wanted.queues:
        if queue == ANY_QUEUE:
            yield _Group("any", (*wanted.queues, *wanted.leave_out))
        else:
            yield _Group("named", queue)


def _mark(cursor: Any, claim: int, rows: Sequence[Row]) -> None:
    if rows:
        ids = tuple(row[2] for row in rows)
        cursor.execute(statement("mysql", "claim_chosen"), (claim, ids))
