"""Claims: chosen and locked with SKIP LOCKED, then marked by their primary keys."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from mainspring.backends.database.claims import Batch, Wanted, newest_first, oldest_first
from mainspring.backends.database.skipping import Skipping, Source, Walk
from mainspring.backends.database.statements import statement
from mainspring.backends.database.stretches import EVERYTHING, HIGHEST, LOWEST, Span
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.storage import ANY_QUEUE

type Note = Callable[[], None]
"""Records what a claim has searched; called after the commit."""


class _Group(NamedTuple):
    """Queues that are claimed from as one."""

    kind: str
    """``named``: one queue; ``any``: all but some."""
    queues: str | Sequence[str]
    """The one, or those to leave out."""

    @property
    def source(self) -> Source:
        """The source whose empty stretches claims from this group skip."""
        if isinstance(self.queues, str):
            return Source(self.queues)
        return Source(None, tuple(self.queues))


class Claims:
    """Claims for one backend alias, in the caller's transaction.

    Each query reads one index in order and locks only the rows that it takes, so that another
    worker can take other rows at the same time.
    """

    def __init__(self, backend: str, order: str, skipping: Skipping) -> None:
        self._backend = backend
        self._newest_first = order == "lifo"
        self._skipping = skipping

    def take(self, cursor: Any, wanted: Wanted, notes: list[Note]) -> list[Batch]:
        """See :meth:`Storage.claim`; append to ``notes`` the functions to call after the commit."""
        batches: list[Batch] = []
        left, groups = wanted.limit, list(_groups(wanted))
        self._skipping.asked([group.source for group in groups])
        for group in groups:
            for batch in self._batches(cursor, wanted, group, left, notes):
                if batch.rows:
                    batches.append(batch)
                    left -= len(batch.rows)
            if not left:
                break
        return batches

    def _batches(
        self, cursor: Any, wanted: Wanted, group: _Group, left: int, notes: list[Note]
    ) -> Iterator[Batch]:
        if wanted.is_fair_turn:
            walk = self._skipping.walk([group.source], newest_first=False)
            rows = self._longest_waiting(cursor, group, walk, left)
            notes.append(partial(walk.passed_longest, rows, left))
            _mark(cursor, wanted.claim, rows)
            yield Batch(rows, oldest_first, self._backend, wanted.claim)
            left -= len(rows)
            if not (rows and left):  # no oldest job means no jobs at all
                return
        walk = self._skipping.walk([group.source], self._newest_first)
        rows = self._first(cursor, group, walk, left)
        notes.append(partial(walk.passed, rows, left))
        _mark(cursor, wanted.claim, rows)
        order = newest_first if self._newest_first else oldest_first
        yield Batch(rows, order, self._backend, wanted.claim)

    def _first(self, cursor: Any, group: _Group, walk: Walk, limit: int) -> list[Row]:
        # Return the first jobs in the order of the backend.
        ((_, spans),) = walk.spans
        if self._newest_first and list(spans) == [EVERYTHING]:  # in one statement
            return self._rows(cursor, "newest", group, limit)
        name = "newest_level" if self._newest_first else "oldest"
        rows: list[Row] = []
        for level in self._levels(cursor, group, spans):
            rows += self._rows(cursor, name, group, *level, limit - len(rows))
            if len(rows) >= limit:
                break
        return rows

    def _longest_waiting(self, cursor: Any, group: _Group, walk: Walk, limit: int) -> list[Row]:
        ((_, spans),) = walk.spans
        levels = list(self._levels(cursor, group, spans))
        waiting = [
            (moment, level[0])
            for level in levels
            for (moment,) in self._rows(cursor, "since", group, *level)
        ]
        if not waiting:
            return []
        _, priority = min(waiting)
        rows: list[Row] = []
        for level in levels:
            if level[0] == priority and len(rows) < limit:
                rows += self._rows(cursor, "oldest", group, *level, limit - len(rows))
        return rows

    def _levels(
        self, cursor: Any, group: _Group, spans: Sequence[Span]
    ) -> Iterator[tuple[int, int, int]]:
        # Yield each priority that may have ready jobs, with the first and last moment to search.
        for span in spans:
            if span.is_level:
                yield span.top, span.first, span.last
                continue
            below = span.top + 1
            while found := self._rows(cursor, "next", group, below, span.bottom):
                ((below,),) = found
                yield below, LOWEST, HIGHEST

    def is_any_ready(self, cursor: Any, walks: Sequence[Walk]) -> bool:
        """Return True if any job is ready in the spans of these walks."""
        for walk in walks:
            for source, spans in walk.spans:
                group = _group_of(source)
                for level in self._levels(cursor, group, spans):
                    if self._rows(cursor, "since", group, *level):
                        return True
        return False

    def _rows(self, cursor: Any, name: str, group: _Group, *values: int) -> list[Row]:
        sql = statement("mysql", f"{name}_{group.kind}")
        cursor.execute(sql, (self._backend, group.queues, *values))
        return list(cursor.fetchall())


def _groups(wanted: Wanted) -> Iterator[_Group]:
    # Named queues come one after the other; the queues that "*" stands for form one group.
    for queue in wanted.queues:
        if queue == ANY_QUEUE:
            yield _Group("any", (*wanted.queues, *wanted.leave_out))
        else:
            yield _Group("named", queue)


def _group_of(source: Source) -> _Group:
    if source.queue is None:
        return _Group("any", source.leave_out)
    return _Group("named", source.queue)


def _mark(cursor: Any, claim: int, rows: Sequence[Row]) -> None:
    if rows:
        ids = tuple(row[2] for row in rows)
        cursor.execute(statement("mysql", "claim_chosen"), (claim, ids))
