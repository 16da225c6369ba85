"""The queues that a claim searches as one, and the statements that read their ready jobs."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mainspring.backends.database.claims import Wanted
from mainspring.backends.database.skipping import Source
from mainspring.backends.database.statements import statement
from mainspring.backends.database.stretches import EVERYTHING, HIGHEST, LOWEST, Span
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.storage import ANY_QUEUE

type Level = tuple[int, int, int]
"""A priority, and the first and last moment to search."""


class Group(NamedTuple):
    """Queues that are claimed from as one."""

    backend: str
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

    def rows(self, cursor: Any, name: str, *values: int | str) -> list[Row]:
        """Execute the statement of that name for this group."""
        sql = statement("mysql", f"{name}_{self.kind}")
        cursor.execute(sql, (self.backend, self.queues, *values))
        return list(cursor.fetchall())

    def levels(self, cursor: Any, spans: Sequence[Span] = (EVERYTHING,)) -> Iterator[Level]:
        """Yield what to search of each priority that may have ready jobs."""
        for span in spans:
            if span.is_level:
                yield span.top, span.first, span.last
                continue
            below = span.top + 1
            while found := self.rows(cursor, "next", below, span.bottom):
                ((below,),) = found
                yield below, LOWEST, HIGHEST

    def longest_waiting(self, cursor: Any, levels: Sequence[Level]) -> int | None:
        """Return the priority of the job that has been ready for the longest time."""
        waiting = [
            (moment, level[0])
            for level in levels
            for (moment,) in self.rows(cursor, "since", *level)
        ]
        return min(waiting)[1] if waiting else None


def groups(backend: str, wanted: Wanted) -> Iterator[Group]:
    """Yield the groups in order: named queues one by one, and as one those that "*" stands for."""
    for queue in wanted.queues:
        if queue == ANY_QUEUE:
            yield Group(backend, "any", (*wanted.queues, *wanted.leave_out))
        else:
            yield Group(backend, "named", queue)


def group_of(backend: str, source: Source) -> Group:
    """Return the group of a source."""
    if source.queue is None:
        return Group(backend, "any", source.leave_out)
    return Group(backend, "named", source.queue)


def mark(cursor: Any, claim: int, rows: Sequence[Row]) -> None:
    """Claim jobs whose rows are locked."""
    if rows:
        ids = tuple(row[2] for row in rows)
        cursor.execute(statement("mysql", "claim_chosen"), (claim, ids))
