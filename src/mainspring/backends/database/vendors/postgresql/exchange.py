"""Settling and claiming in one round trip: psycopg's pipeline mode."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple

from psycopg import Connection, RawCursor, errors
from psycopg.pq import Format

from mainspring.backends.database.claims import Batch, Wanted, newest_first, oldest_first
from mainspring.backends.database.skipping import Skipping, Source, Walk
from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.base import Between, Row
from mainspring.backends.database.vendors.postgresql import session, spans
from mainspring.backends.database.vendors.postgresql.settling import (
    settle_again,
    tell_ended,
    unsettled,
)
from mainspring.backends.database.vendors.postgresql.text import columns
from mainspring.backends.storage import ANY_QUEUE
from mainspring.core.jobs import Outcome

WORK: Final = "mainspring_work"
"""The channel that notifies workers of possible work. The payload starts with the backend."""

_TRIES: Final = 5

# Two transactions met in one job, and the server has rolled this one back.
COLLISIONS: Final = (errors.SerializationFailure, errors.DeadlockDetected)


class _Step(NamedTuple):
    """One statement of a claim."""

    name: str
    leave_out: Sequence[str] | None
    """The queues to leave out; None if the spans name the queues to claim from."""
    order: Callable[[Row], Any]
    walk: Walk
    passed: Callable[[Sequence[Row], int], None]
    """Records what was claimed."""


class Exchange:
    """Settles and claims for one backend alias."""

    def __init__(self, backend: str, order: str, skipping: Skipping) -> None:
        self._backend = backend
        self._skipping = skipping
        self._suffix, self._order = (
            ("newest", newest_first) if order == "lifo" else ("oldest", oldest_first)
        )

    def __call__(
        self,
        raw: Connection[Any],
        outcomes: Sequence[Outcome],
        wanted: Wanted | None,
        is_pooled: bool,
        between: Between | None = None,
    ) -> tuple[list[str], list[Batch]]:
        """See :meth:`Dialect.exchange`."""
        groups = [] if wanted is None else list(self._groups(wanted))
        if groups:
            self._skipping.asked([one for group in groups for one in group[-1].walk.sources])
        for _ in range(_TRIES - 1):
            try:
                missed, claimed = self._at_once(raw, outcomes, wanted, groups, is_pooled, between)
                break
            except COLLISIONS:
                continue
        else:
            missed, claimed = self._at_once(raw, outcomes, wanted, groups, is_pooled, between)
        lost = self._settle_missed(raw, missed) if missed else []
        if wanted is None:
            return lost, []
        return lost, self._batches(raw, wanted, groups, claimed)

    def _at_once(
        self,
        raw: Connection[Any],
        outcomes: Sequence[Outcome],
        wanted: Wanted | None,
        groups: Sequence[Sequence[_Step]],
        is_pooled: bool,
        between: Between | None,
    ) -> tuple[list[Outcome], list[Row]]:
        # Return the outcomes that were not settled, and the rows that the first step claimed.
        settle, claim, other = RawCursor(raw), RawCursor(raw), RawCursor(raw)
        claim.format = Format.BINARY
        if wanted is not None and not (outcomes or is_pooled or between):
            self._claim(claim, wanted, groups[0][0], wanted.limit)  # needs no BEGIN
            return [], claim.fetchall()
        with session.pipeline(raw):
            other.execute(b"BEGIN")
            if is_pooled:
                session.tune_transaction(other)
            if outcomes:
                settle.execute(_sql("settle"), columns(outcomes))
            if between is not None:
                between(RawCursor(raw), lambda: max(settle.rowcount, 0) == len(outcomes))
            if wanted is not None:
                self._claim(claim, wanted, groups[0][0], wanted.limit)
            other.execute(b"COMMIT")
            # After the transaction, because NOTIFY holds a lock until the commit is on the disk.
            tell_ended(other, outcomes)
        claimed = claim.fetchall() if wanted is not None else []
        if max(settle.rowcount, 0) == len(outcomes):
            return [], claimed
        return unsettled(outcomes, {job_id for (job_id,) in settle.fetchall()}), claimed

    def _settle_missed(self, raw: Connection[Any], outcomes: list[Outcome]) -> list[str]:
        cursor = RawCursor(raw)
        cursor.format = Format.BINARY
        for _ in range(_TRIES - 1):
            try:
                lost = settle_again(cursor, outcomes)
                break
            except COLLISIONS:
                continue
        else:
            lost = settle_again(cursor, outcomes)
        gone = set(lost)
        tell_ended(cursor, [outcome for outcome in outcomes if outcome.id not in gone])
        return lost

    def _batches(
        self,
        raw: Connection[Any],
        wanted: Wanted,
        groups: Sequence[Sequence[_Step]],
        first: list[Row],
    ) -> list[Batch]:
        batches: list[Batch] = []
        left, rows = wanted.limit, first
        cursor = RawCursor(raw)
        cursor.format = Format.BINARY
        for number, group in enumerate(groups):
            for place, step in enumerate(group):
                if number or place:
                    found = self._claim_next(cursor, wanted, step, left)
                    if found is None:
                        return batches
                    rows = found
                step.passed(rows, left)
                if rows:
                    batches.append(Batch(rows, step.order, self._backend, wanted.claim))
                    left -= len(rows)
                if not left:
                    return batches
                if not rows:  # no oldest job means no jobs at all
                    break
        return batches

    def _claim_next(
        self, cursor: RawCursor[Any], wanted: Wanted, step: _Step, limit: int
    ) -> list[Row] | None:
        # Return None after repeated collisions: the earlier steps are committed, and an error
        # would leave their claims in doubt.
        for _ in range(_TRIES):
            with suppress(*COLLISIONS):
                self._claim(cursor, wanted, step, limit)
                return cursor.fetchall()
        return None

    def _claim(self, cursor: RawCursor[Any], wanted: Wanted, step: _Step, limit: int) -> None:
        name, queues, columns = step.name, step.leave_out, list[str]()
        if step.walk.until is not None:
            name = f"{name}_in"
            named, *columns = spans.columns(step.walk)
        else:  # nothing is skipped
            named = [one.queue for one in step.walk.sources]
        values = (wanted.claim, self._backend, named if queues is None else queues, limit)
        cursor.execute(_sql(name), (*values, *columns))

    def _groups(self, wanted: Wanted) -> Iterator[list[_Step]]:
        # Named queues come one after the other; the queues that "*" stands for form one group.
        names: list[str] = []
        for queue in dict.fromkeys(wanted.queues):
            if queue != ANY_QUEUE:
                names.append(queue)
                continue
            if names:
                yield from self._named(names, wanted.is_fair_turn)
                names = []
            others = [name for name in wanted.queues if name != ANY_QUEUE]
            others += wanted.leave_out
            source = [Source(None, tuple(others))]
            in_order = self._in_order("any", source, others)
            longest = self._longest("any", source, others)
            yield [longest, in_order] if wanted.is_fair_turn else [in_order]
        if names:
            yield from self._named(names, wanted.is_fair_turn)

    def _named(self, names: list[str], is_fair_turn: bool) -> Iterator[list[_Step]]:
        if is_fair_turn:
            for name in names:
                source = [Source(name)]
                yield [self._longest("named", source), self._in_order("named", source)]
        else:
            yield [self._in_order("named", list(map(Source, names)))]

    def _longest(
        self, kind: str, source: list[Source], leave_out: Sequence[str] | None = None
    ) -> _Step:
        walk = self._skipping.walk(source, newest_first=False)
        return _Step(f"claim_{kind}_longest", leave_out, oldest_first, walk, walk.passed_longest)

    def _in_order(
        self, kind: str, sources: list[Source], leave_out: Sequence[str] | None = None
    ) -> _Step:
        walk, order = self._skipping.walk(sources, self._suffix == "newest"), self._order
        if len(sources) > 1:
            place = {source.queue: n for n, source in enumerate(sources)}

            def order_by_queue(row: Row) -> Any:
                return place[row[4]], self._order(row)

            order = order_by_queue
        return _Step(f"claim_{kind}_{self._suffix}", leave_out, order, walk, walk.passed)


@cache
def _sql(name: str) -> bytes:
    return statement("postgresql", name).encode()
