"""Claims: which ready jobs are taken, in the documented order."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from django.tasks.base import TASK_MAX_PRIORITY

from mainspring.backends.storage import ANY_QUEUE
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.ordering import FAIR_EVERY

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Row

_MOST: Final = 1000


class Wanted(NamedTuple):
    """What one claim is to bring."""

    claim: int
    """What the jobs are marked with; no other claim has it."""
    queues: Sequence[str]
    limit: int
    is_fair_turn: bool
    """Whether to start with the job that has waited longest."""
    leave_out: Sequence[str] = ()
    """The queues that "*" does not stand for, beside those that are named."""


class Demand:
    """Draws the claims of one backend alias in this process."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._turns = count(1)

    def draw(
        self, worker: Worker, queues: Sequence[str], limit: int, leave_out: Sequence[str] = ()
    ) -> Wanted:
        """Return a new claim of up to ``limit`` jobs."""
        number = worker.first_claim | next(self._numbers) & 0xFFFF_FFFF
        is_fair_turn = next(self._turns) % FAIR_EVERY == 0
        return Wanted(number, queues, limit, is_fair_turn, leave_out)


class ClaimSize:
    """Limits the number of jobs in a claim after jobs turned out to be large.

    Like a ``Pace``, reduces the number at once, and raises it step by step.
    """

    def __init__(self) -> None:
        self.is_cut = False
        """True if the last claim took fewer jobs because of their size."""
        self._most: int | None = None

    def limit(self, limit: int) -> int:
        """Return the number of jobs to claim if ``limit`` are wanted."""
        return limit if self._most is None else min(limit, self._most)

    def claimed(self, number: int, limit: int) -> None:
        """Record the number of jobs claimed if ``limit`` were wanted."""
        self.is_cut = self._most is not None and number == self.limit(limit) < limit
        if self._most is not None and number:
            self._most = self._most * 2 if self._most < _MOST else None

    def cut_to(self, number: int) -> None:
        """Record that only this number of the claimed jobs fit."""
        self._most = max(number, 1)
        self.is_cut = True


class Claiming(Protocol):
    """What :class:`Claims` needs of a database."""

    def sql(self, name: str) -> str:
        """Return the statement of that name."""

    def claim_newest(self, cursor: Any, queue: "Row", limit: int) -> "list[Row]":
        """Claim by priority, the newest first; ``queue`` is (claim, backend, queue_name)."""

    def claim_oldest(self, cursor: Any, queue: "Row", priority: int, limit: int) -> "list[Row]":
        """Claim the oldest jobs of one priority; ``queue`` as in :meth:`claim_newest`."""

    def claim_chosen(self, cursor: Any, claim: int, ids: Sequence[str]) -> "list[Row]":
        """Claim the jobs of these ids that are ready."""


class Claims:
    """Claims as a few small statements, each of which reads one index in one direction.

    For databases in the process, where a statement costs microseconds, and for those that cannot
    do it all in one.
    """

    def __init__(self, backend: str, order: str) -> None:
        self._backend = backend
        self._newest_first = order == "lifo"

    def take(self, dialect: Claiming, cursor: Any, wanted: Wanted) -> "list[Batch]":
        """Claim in the caller's transaction, first the first queue's; see :meth:`Storage.claim`."""
        turn = _Turn(dialect, cursor, wanted.claim)
        batches: list[Batch] = []
        left = wanted.limit
        for group in self._groups(turn, wanted):
            for claim_from in (
                (self._claim_longest_waiting, self._claim_in_order)
                if wanted.is_fair_turn
                else (self._claim_in_order,)
            ):
                if left and (batch := claim_from(turn, group, left)).rows:
                    batches.append(batch)
                    left -= len(batch.rows)
            if not left:
                break
        return batches

    def _groups(self, turn: "_Turn", wanted: Wanted) -> Iterator[list[str]]:
        # Named queues one after the other; the queues that "*" stands for as equals.
        for queue in wanted.queues:
            if queue != ANY_QUEUE:
                yield [queue]
                continue
            others, name, named = [], "", (*wanted.queues, *wanted.leave_out)
            while found := self._next(turn, "next_queue", name):
                (name,) = found
                if name not in named:
                    others.append(name)
            if others:
                yield others

    def _next(self, turn: "_Turn", statement: str, *params: Any) -> "Row | None":
        turn.cursor.execute(turn.dialect.sql(statement), (self._backend, *params))
        row: Row | None = turn.cursor.fetchone()
        return row

    def _claim_in_order(self, turn: "_Turn", group: list[str], limit: int) -> "Batch":
        order = newest_first if self._newest_first else oldest_first
        if len(group) == 1 and self._newest_first:  # in one statement
            queue = (turn.claim, self._backend, group[0])
            rows = turn.dialect.claim_newest(turn.cursor, queue, limit)
        else:
            found = [row for name in group for row in self._candidates(turn, name, limit)]
            found.sort(key=order)
            chosen = [job_id for _, _, job_id in found[:limit]]
            rows = turn.dialect.claim_chosen(turn.cursor, turn.claim, chosen) if chosen else []
        return Batch(rows, order, self._backend, turn.claim)

    def _candidates(self, turn: "_Turn", queue: str, limit: int) -> "list[Row]":
        # The first jobs of a queue: (priority, available_at, id).
        dialect, cursor = turn.dialect, turn.cursor
        if self._newest_first:
            cursor.execute(dialect.sql("first_newest"), (self._backend, queue, limit))
            rows: list[Row] = cursor.fetchall()
            return rows
        rows = []
        for priority, _ in self._levels(turn, queue):
            chosen = (self._backend, queue, priority, limit - len(rows))
            cursor.execute(dialect.sql("first_oldest"), chosen)
            rows += cursor.fetchall()
            if len(rows) >= limit:
                break
        return rows

    def _levels(self, turn: "_Turn", queue: str) -> Iterator[tuple[int, int]]:
        # The priorities of the ready jobs of a queue, each with its oldest job's moment.
        below = TASK_MAX_PRIORITY + 1
        while found := self._next(turn, "next_priority", queue, below):
            below, oldest = found
            yield below, oldest

    def _claim_longest_waiting(self, turn: "_Turn", group: list[str], limit: int) -> "Batch":
        levels = [
            (oldest, priority, queue)
            for queue in group
            for priority, oldest in self._levels(turn, queue)
        ]
        if not levels:
            return Batch([], oldest_first, self._backend, turn.claim)
        _, priority, name = min(levels)
        queue = (turn.claim, self._backend, name)
        rows = turn.dialect.claim_oldest(turn.cursor, queue, priority, limit)
        return Batch(rows, oldest_first, self._backend, turn.claim)


class _Turn(NamedTuple):
    """One claim while it is made."""

    dialect: Claiming
    cursor: Any
    claim: int


class Batch(NamedTuple):
    """Jobs that were claimed together, still as rows: what the claim itself does not know.

    Reading all columns of a job while others wait to write takes a sixth of their time.
    """

    rows: "list[Row]"
    order: "Callable[[Row], Any]"
    backend: str
    claim: int

    def jobs(self) -> list[Job]:
        """Return the jobs in order. Call this once others may write again, as it takes time."""
        try:
            self.rows.sort(key=self.order)
        except TypeError:  # SQLite may store text in a numeric column
            self.rows.sort(key=_whatever_they_are(self.order))
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
                options,
                metadata,
                limit_group,
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
                options,
                metadata,
                limit_group,
                started_at,
                last_attempted_at,
                worker_ids,
                errors,
            ) in self.rows
        ]


def _whatever_they_are(order: "Callable[[Row], Any]") -> "Callable[[Row], Any]":
    # Rows that cannot be ordered come last.
    def key(row: "Row") -> tuple[bool, Any]:
        try:
            priority, moment = order(row)
        except TypeError:
            return True, (0, 0)
        if not isinstance(priority, int | float) or not isinstance(moment, int | float):
            return True, (0, 0)
        return False, (priority, moment)

    return key


def newest_first(row: "Row") -> tuple[int, int]:
    """Sort rows by priority, then the newest first."""
    return -row[0], -row[1]  # priority, available_at


def oldest_first(row: "Row") -> tuple[int, int]:
    """Sort rows by priority, then the oldest first."""
    return -row[0], row[1]
