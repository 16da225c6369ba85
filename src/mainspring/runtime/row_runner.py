"""Runs the rows of maps: many calls in one go, each with its own outcome."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import starmap
from typing import Any, Final, NamedTuple

from mainspring.backends.storage import Storage
from mainspring.core import clock, codec, outcomes
from mainspring.core.calls import Call, let_go
from mainspring.core.chunks import (
    Division,
    Spec,
    first_of,
    items_in,
    part_of,
    returned_by,
)
from mainspring.core.dividing import Piece, divide, give_away
from mainspring.core.failures import outcome_of_failure
from mainspring.core.jobs import Job, Outcome, Worker
from mainspring.core.policy import Policy
from mainspring.exceptions import StoreLocked, TaskCancelled, TaskTimeout
from mainspring.runtime.board import Board, NoBoard, ticks
from mainspring.runtime.chunk import Chunk
from mainspring.runtime.divisions import Divisions, Settled
from mainspring.runtime.executor import Executor, reason_of
from mainspring.runtime.guard import Guard
from mainspring.runtime.isolation import (
    Surroundings,
    context_for_tasks,
    has_connections,
    prepare_connections,
    tidy_connections,
)
from mainspring.runtime.row_values import End, Failure, Values, encode_values, joined
from mainspring.runtime.telling import Telling

logger = logging.getLogger("mainspring")

_SLICE: Final = 3_000  # microseconds of calls that are run without a look in between
_MOST: Final = 10_000  # calls
_GROWTH: Final = 8
_SLOW: Final = 8_000  # microseconds that a slice may take
_GIVE_AFTER: Final = 100_000  # microseconds after which calls that have not begun are given away
_FEWEST_PARTS: Final = 2
_MOST_PARTS: Final = 16


class _Work(NamedTuple):
    """What all calls of a row have in common."""

    func: Callable[..., Any]
    """Called once for each item, isolated from the other calls."""
    policy: Policy
    spec: Spec

    def results(self, items: list[Any]) -> Iterator[Any]:
        """Return an iterator that makes the calls, and yields what they return."""
        if self.spec.kind == "lists":
            return starmap(self.func, items)
        return map(self.func, items)


class _Raised(NamedTuple):
    """The exception that ended a slice early."""

    error: BaseException
    was_told: bool
    """Whether the guard had raised it, because of a timeout or a lost claim."""
    has_returned: bool = False
    """True if all calls returned anyway: the last one swallowed the exception."""


class RowRunner:
    """Runs rows for one worker, in any of its threads; another one may :meth:`tend` to them."""

    def __init__(
        self,
        executor: Executor,
        storage: Storage,
        worker: Worker,
        board: Board | NoBoard,
        guard: Guard,
        telling: Telling,
        settled: Settled,
        max_payload: int,
    ) -> None:
        """``settled`` takes the outcome of a row that was settled in a division, with its id if it
        was dropped."""
        self.running: set[Chunk] = set()
        self._executor = executor
        self._storage = storage
        self._worker = worker
        self._board = board
        self._guard = guard
        self._divisions = Divisions(storage, worker, telling, settled)
        self._max_payload = max_payload
        self._each: dict[str, float] = {}  # microseconds a call takes, by task
        self._context = context_for_tasks()
        self._surroundings = Surroundings()

    def run(self, job: Job, call: Call, policy: Policy, spec: Spec) -> Outcome | None:
        """Run a row in this thread and return its outcome. Raises ``Unreadable``.

        Returns None if its calls had different outcomes; these are then stored as a division.
        """
        if has_connections():
            self._executor.commit()  # this row must not write in the transaction of earlier tasks
            prepare_connections()
        started_at = clock.now()
        self._board.start(job.id, started_at, ticks(), policy.timeout or 0)
        work = _Work(self._executor.tasks.repeated(call), policy, spec)
        chunk = Chunk(job, items_in(job.arguments), started_at)
        self.running.add(chunk)
        ends: list[End] = []
        try:
            self._run_all(chunk, work, ends)
            division = None if chunk.is_gone else self._division(chunk, work, ends)
        finally:
            self.running.discard(chunk)
            self._guard.leave(job.id)
        self._board.end(job.id)
        self._tidy(keeps=False)
        _log(chunk.job, spec, len(chunk.values), sum(isinstance(end, Failure) for end in ends))
        if division is None:
            return outcomes.untouched(job)
        if not division.parts:
            return division.outcomes[0]
        self._divisions.store(chunk.job, division)
        return None

    def _tidy(self, *, keeps: bool = True) -> None:
        # The code before this may have been interrupted during its own cleanup.
        self._surroundings.restore()
        if has_connections():
            tidy_connections(keeps=keeps)

    # Slices

    def _run_all(self, chunk: Chunk, work: _Work, ends: list[End]) -> None:
        # Run calls one by one if one of them took a worker down, or if receivers want each start.
        is_careful = chunk.job.errors is not None or self._executor.telling.hears_each_started
        path, size = chunk.job.task_path, 1
        while True:
            if not is_careful:
                size = self._size(path, size)
            while not chunk.is_gone and (calls := chunk.next_slice(size)) is not None:
                base = len(chunk.values)
                ends += self._run_slice(chunk, work, calls)
                self._learn(path, ticks() - chunk.slice_began, len(chunk.values) - base)
                if not is_careful:
                    size = self._size(path, size)
            with chunk.giving:  # when this is free, it is known whether the rest was given away
                if chunk.is_gone or not chunk.has_more:
                    return

    def _size(self, path: str, last: int) -> int:
        each = self._each.get(path)
        if each is None:
            return 1
        return max(1, min(int(_SLICE / max(each, 0.01)), last * _GROWTH if last > 1 else _MOST))

    def _learn(self, path: str, took: int, number: int) -> None:
        if number:
            each, known = took / number, self._each.get(path)
            # As a Pace does: slower at once, faster step by step.
            self._each[path] = each if known is None or each > known else (each + known) / 2

    def _run_slice(self, chunk: Chunk, work: _Work, calls: list[Any]) -> list[End]:
        base, failures = len(chunk.values), list[Failure]()
        raised = self._tell_started(chunk)
        while True:
            timeout, before = work.policy.timeout or 0, len(chunk.values)
            self._go_on(chunk, timeout, len(calls))
            extend = chunk.values.extend
            raised = raised or self._watched(chunk, timeout, extend, work.results(calls))
            if raised is None:
                break
            if raised.was_told and isinstance(raised.error, TaskCancelled):
                chunk.is_gone = True
                let_go(raised.error)
                break
            if not self._is_stray(chunk, work, raised):
                if raised.has_returned and len(chunk.values) > before:
                    chunk.values.pop()
                failures.append(self._failure(chunk, work, raised.error, len(chunk.values)))
                chunk.values.append(None)
            self._tidy()
            let_go(raised.error)
            calls, raised = chunk.rest_of_slice(), None
        ends = self._ends(chunk, work, base, failures)
        if chunk.has_more or base:  # the row takes longer than a moment
            for end in ends:
                self._board.keep(chunk.job.id, end.line)
        return ends

    def _tell_started(self, chunk: Chunk) -> _Raised | None:
        # An exception of a receiver fails the call, as it does outside of maps.
        telling = self._executor.telling
        try:
            if telling.hears_each_started:
                single = self._single(chunk, len(chunk.values))
                telling.tell_started(telling.running(single, clock.now()))
        except BaseException as error:  # noqa: BLE001 # a receiver may raise SystemExit and the like
            return _Raised(error, was_told=False)
        return None

    def _go_on(self, chunk: Chunk, timeout: int, number: int) -> None:
        began = chunk.slice_began
        self._board.go_on(chunk.job.id, began, timeout, len(chunk.values), number)

    def _watched(
        self, chunk: Chunk, timeout: int, call: Callable[..., None], *args: Any
    ) -> _Raised | None:
        # Call it so that it can be interrupted, but none of our own code before or after it. Return
        # what it raised, or swallowed.
        guard, job, told = self._guard, chunk.job, None
        try:
            try:
                if not guard.uses_signal:
                    guard.enter(job, chunk.slice_began, timeout)
                else:
                    guard.in_main = job
                    if not guard.is_watching:
                        guard.watch()
                self._context.copy().run(call, *args)
            finally:
                guard.in_main = None
                if guard.running or guard.told:
                    told = guard.leave(job.id)
        except BaseException as error:  # noqa: BLE001 # a task may raise SystemExit and the like
            told = guard.leave(job.id) or told
            raised = _Raised(reason_of(error, told), told is not None)
        else:
            if told is None:
                return None
            raised = _Raised(told, True, has_returned=True)
        if raised.was_told:
            self._executor.close_interrupted()
        return raised

    def _is_stray(self, chunk: Chunk, work: _Work, raised: _Raised) -> bool:
        # The timeout of an earlier call, which had ended in the meantime.
        is_late = raised.was_told and isinstance(raised.error, TaskTimeout)
        if not is_late or work.policy.timeout is None:
            return False
        return ticks() - chunk.slice_began < work.policy.timeout

    # Outcomes

    def _failure(self, chunk: Chunk, work: _Work, error: BaseException, offset: int) -> Failure:
        part, now = self._single(chunk, offset), clock.now()
        started_at = now - (ticks() - chunk.slice_began)
        outcome = outcome_of_failure(part, work.policy, self._worker.id, started_at, now, error)
        self._executor.telling.tell(part, outcome, error)
        return Failure(offset, outcome)

    def _single(self, chunk: Chunk, offset: int) -> Job:
        # Return a row with only this call: the row itself if it has no other calls.
        if len(chunk.items) == 1:
            return chunk.job
        first = first_of(chunk.job.id) + offset
        return part_of(chunk.job, first, codec.encode(chunk.items[offset : offset + 1]))

    def _ends(self, chunk: Chunk, work: _Work, base: int, failures: Sequence[Failure]) -> list[End]:
        ends: list[End] = []
        for failure in failures:
            ends += self._returned(chunk, work, base, failure.offset)
            ends.append(failure)
            base = failure.offset + 1
        return ends + self._returned(chunk, work, base, len(chunk.values))

    def _returned(self, chunk: Chunk, work: _Work, start: int, end: int) -> list[End]:
        def failed(offset: int, error: BaseException) -> Failure:
            return self._failure(chunk, work, error, offset)

        ends = encode_values(chunk.values[start:end], start, self._max_payload, failed)
        if self._executor.telling.hears_each_finished:
            for one in ends:
                if isinstance(one, Values):
                    self._tell_returned(chunk, work, one)
        return ends

    # The end

    def _division(self, chunk: Chunk, work: _Work, ends: list[End]) -> Division:
        now = clock.now()
        pieces = [self._piece(chunk, work, end, now) for end in joined(ends, self._max_payload)]
        return divide(chunk.job, chunk.items, pieces)

    def _piece(self, chunk: Chunk, work: _Work, end: End, now: int) -> Piece:
        if isinstance(end, Failure):
            outcome = end.outcome
            return Piece(end.offset, 1, lambda part: outcome._replace(id=part.id))
        returned = returned_by(work.spec, end.stored, self._reduced(chunk, work, end))

        def settle(part: Job) -> Outcome:
            worker_id = self._worker.id
            return outcomes.succeeded(part, worker_id, chunk.started_at, now, returned)

        return Piece(end.offset, end.number, settle)

    def _tell_returned(self, chunk: Chunk, work: _Work, values: Values) -> None:
        now, encoded = clock.now(), items_in(values.line)
        for offset, value in enumerate(encoded, values.offset):
            part = self._single(chunk, offset)
            returned = returned_by(work.spec, codec.encode([value]))
            outcome = outcomes.succeeded(part, self._worker.id, chunk.started_at, now, returned)
            self._executor.telling.tell(part, outcome, None)

    def _reduced(self, chunk: Chunk, work: _Work, end: Values) -> bytes | None:
        # None if that fails: the merge job will meet the same error and report it.
        if work.spec.merge is None:
            return None
        tasks, path = self._executor.tasks, work.spec.merge
        values = chunk.values[end.offset : end.offset + end.number]
        encoded: list[bytes] = []

        def merge() -> None:
            value = reduce(tasks.repeated(tasks.call_of(path)), values)
            encoded.append(codec.encode_value(value, self._max_payload) or b"null")

        chunk.slice_began = ticks()
        policy = tasks.policy_of(chunk.job._replace(task_path=path, options=None))
        self._go_on(chunk, policy.timeout or 0, 0)
        raised = self._watched(chunk, policy.timeout or 0, merge)
        if raised is None:
            return encoded[0]
        let_go(raised.error)
        return None

    # Called by the keeper

    def tend(self, now: int, is_ending: bool) -> None:
        """End slices that take too long, and give away calls that other workers may take.

        ``now``: the time by :func:`ticks`. ``is_ending``: the worker ends after the current calls.
        Raises ``StoreUnavailable``.
        """
        self._divisions.tend()
        for chunk in list(self.running):
            if now - chunk.slice_began > _SLOW:
                chunk.cut_slice()
            if is_ending or now - chunk.looked_at > _GIVE_AFTER:
                chunk.looked_at = now
                self._give_away(chunk)

    def _give_away(self, chunk: Chunk) -> None:
        with chunk.giving:
            keep = chunk.take_rest()
            if keep is None:
                return
            job, items = chunk.job, chunk.items
            each = self._each.get(job.task_path, _SLICE)
            parts = int((len(items) - keep) * each / _GIVE_AFTER) + 1
            parts = min(max(parts, _FEWEST_PARTS), _MOST_PARTS, len(items) - keep)
            division = give_away(job, items, keep, parts)
            try:
                is_held = self._storage.divide(self._worker, job, division)
            except StoreLocked:  # for example, it is being cancelled: keep all calls
                chunk.put_back()
                return
            except BaseException:
                chunk.put_back()
                raise
            if is_held:
                kept = job._replace(arguments=division.arguments)
                chunk.given_away(kept, items[:keep])
            else:
                chunk.is_gone = True
        if not is_held:
            self._guard.cancel(chunk.job.id)


def _log(job: Job, spec: Spec, ran: int, failed: int) -> None:
    logger.debug(
        "Map id=%s path=%s: of the calls from %d on, %d ran; %d raised",
        spec.map_id,
        job.task_path,
        first_of(job.id),
        ran,
        failed,
        extra={"map_id": spec.map_id, "task_path": job.task_path, "ran": ran, "raised": failed},
    )
