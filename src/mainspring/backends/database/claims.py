"""Claims: which ready jobs are taken, in the documented order."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from django.tasks.base import TASK_MAX_PRIORITY

from mainspring.backends.database.vendors import Dialect
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.storage import ANY_QUEUE
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.ordering import FAIR_EVERY


class Claims:
    """The claims of one backend alias in this process, each in a transaction of the caller's."""

    def __init__(self, dialect: Dialect, backend: str, order: str) -> None:
        self._dialect = dialect
        self._backend = backend
        self._newest_first = order == "lifo"
        self._numbers = count(1)
        self._turns = count(1)

    def take(self, cursor: Any, worker: Worker, queues: Sequence[str], limit: int) -> "list[Batch]":
        """Claim up to ``limit`` jobs, first the first queue's; see :meth:`Storage.claim`."""
        claim = worker.first_claim | next(self._numbers) & 0xFFFF_FFFF
        is_fair_turn = next(self._turns) % FAIR_EVERY == 0
        batches: list[Batch] = []
        left = limit
        for group in self._groups(cursor, queues):
            for claim_from in (
                (self._claim_longest_waiting, self._claim_in_order)
                if is_fair_turn
                else (self._claim_in_order,)
            ):
                if left and (batch := claim_from(cursor, claim, group, left)).rows:
                    batches.append(batch)
                    left -= len(batch.rows)
            if not left:
                break
        return batches

    def _groups(self, cursor: Any, queues: Sequence[str]) -> Iterator[list[str]]:
        # Named queues one after the other; the queues that "*" stands for as equals.
        for queue in queues:
            if queue != ANY_QUEUE:
                yield [queue]
                continue
            others, name = [], ""
            while found := self._next(cursor, "next_queue", name):
                (name,) = found
                if name not in queues:
                    others.append(name)
            if others:
                yield others

    def _next(self, cursor: Any, statement: str, *params: Any) -> Row | None:
        cursor.execute(self._dialect.sql(statement), (self._backend, *params))
        row: Row | None = cursor.fetchone()
        return row

    def _claim_in_order(self, cursor: Any, claim: int, group: list[str], limit: int) -> "Batch":
        order = _newest_first if self._newest_first else _oldest_first
        if len(group) == 1 and self._newest_first:  # in one statement
            rows = self._dialect.claim_newest(cursor, (claim, self._backend, group[0]), limit)
        else:
            found = [row for name in group for row in self._candidates(cursor, name, limit)]
            found.sort(key=order)
            chosen = [job_id for _, _, job_id in found[:limit]]
            rows = self._dialect.claim_chosen(cursor, claim, chosen) if chosen else []
        return Batch(rows, order, self._backend, claim)

    def _candidates(self, cursor: Any, queue: str, limit: int) -> list[Row]:
        # The first jobs of a queue: (priority, available_at, id).
        if self._newest_first:
            cursor.execute(self._dialect.sql("first_newest"), (self._backend, queue, limit))
            rows: list[Row] = cursor.fetchall()
            return rows
        rows = []
        for priority, _ in self._levels(cursor, queue):
            cursor.execute(
                self._dialect.sql("first_oldest"),
                (self._backend, queue, priority, limit - len(rows)),
            )
            rows += cursor.fetchall()
            if len(rows) >= limit:
                break
        return rows

    def _levels(self, cursor: Any, queue: str) -> Iterator[tuple[int, int]]:
        # The priorities of the ready jobs of a queue, each with its oldest job's moment.
        below = TASK_MAX_PRIORITY + 1
        while found := self._next(cursor, "next_priority", queue, below):
            below, oldest = found
            yield below, oldest

    def _claim_longest_waiting(
        self, cursor: Any, claim: int, group: list[str], limit: int
    ) -> "Batch":
        levels = [
            (oldest, priority, queue)
            for queue in group
            for priority, oldest in self._levels(cursor, queue)
        ]
        if not levels:
            return Batch([], _oldest_first, self._backend, claim)
        _, priority, queue = min(levels)
        rows = self._dialect.claim_oldest(cursor, (claim, self._backend, queue), priority, limit)
        return Batch(rows, _oldest_first, self._backend, claim)


class Batch(NamedTuple):
    """Jobs that were claimed together, still as rows: what the claim itself does not know.

    Reading all columns of a job while others wait to write takes a sixth of their time.
    """

    rows: list[Row]
    order: Callable[[Row], tuple[int, int]]
    backend: str
    claim: int

    def jobs(self) -> list[Job]:
        """Return the jobs in their order: left to when others may write again."""
        self.rows.sort(key=self.order)
        return [
            Job(
                job_id,
                self.backend,
                task_path,
                queue_name,
                priority,
                available_at,
                State.RUNNING,
                self.claim,
                arguments,
                run_after,
                enqueued_at,
                started_at,
                last_attempted_at,
                None,
                worker_ids,
                errors,
            )
            for (
                priority,
                available_at,
                job_id,
                task_path,
                queue_name,
                arguments,
                run_after,
                enqueued_at,
                started_at,
                last_attempted_at,
                worker_ids,
                errors,
            ) in self.rows
        ]


def _newest_first(row: Row) -> tuple[int, int]:
    return -row[0], -row[1]  # priority, available_at


def _oldest_first(row: Row) -> tuple[int, int]:
    return -row[0], row[1]
