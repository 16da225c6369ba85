"""Reading a map: its calls out of their rows, a few rows at a time, and how far it is."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asgiref.sync import sync_to_async
from django.tasks.exceptions import TaskResultDoesNotExist

from mainspring import signals
from mainspring.backends.map_rows import Row, as_rows
from mainspring.backends.progress_bar import ProgressBar
from mainspring.backends.stalls import Awaited, awaited_map
from mainspring.backends.waiting import await_until, wait_until
from mainspring.core.chunks import MapRecord, Spec, call_id, is_merge
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import Job, State
from mainspring.core.map_results import MapProgress, MapResult
from mainspring.core.results import TaskResult

if TYPE_CHECKING:
    from mainspring.backends.base import MainspringBackend

_FAILED: Final = (State.FAILED, State.CANCELLED)
_UNFINISHED: Final = (State.HELD, State.SCHEDULED, State.READY, State.RUNNING)

_READ_AT_ONCE: Final = 1_000_000  # bytes
_MOST_ROWS: Final = 500
_MANY: Final = 1000  # ids of rows at once
_READ_TOGETHER: Final = 100  # failed rows


class _Look(NamedTuple):
    """What one look at the rows from some call on has shown."""

    rows: list[Row]
    """The finished ones, up to the first one that is not."""
    is_end: bool = False
    """Whether there is no call from there on, and never will be."""
    unfinished: str | None = None
    """The row that stands first and is not finished."""


class MapReader:
    """What reads, and changes, one map of a store."""

    def __init__(self, backend: "MainspringBackend", map_id: str) -> None:
        self._backend = backend
        self._storage = backend.storage
        self._id = map_id
        self._awaited = awaited_map(map_id)

    def record(self) -> MapRecord:
        """Return the map as stored; raises ``TaskResultDoesNotExist``."""
        record = self._storage.find_map(self._id)
        if record is None:
            raise TaskResultDoesNotExist(self._id)
        return record

    def _spec(self) -> Spec:
        return self.record().spec

    def handle(self) -> MapResult[Any]:
        """Return the handle on it; raises ``TaskResultDoesNotExist``."""
        record = self.record()
        return MapResult(record.id, record.backend, record.task_path, record.spec.merge is not None)

    # How far it is

    def progress(self) -> MapProgress:
        """See :attr:`MapResult.progress`."""
        record = self.record()
        counts = self._storage.count_calls(self._id)
        failed = sum(counts.get(state, 0) for state in _FAILED)
        return MapProgress(
            record.stored if record.is_closed else None,
            sum(counts.values()),
            counts.get(State.SUCCESSFUL, 0) + failed,
            failed,
            counts.get(State.RUNNING, 0),
            record.finished_at is not None,
        )

    def total(self) -> int | None:
        """See :attr:`MapResult.total`."""
        record = self.record()
        return record.stored if record.is_closed else None

    def is_finished(self) -> bool:
        """See :attr:`MapResult.is_finished`."""
        return self.record().finished_at is not None

    def wait(self, timeout: float | None, shown_as: str | None) -> None:
        """See :meth:`MapResult.wait`; a bar is shown under a name."""
        if shown_as is None:
            self._backend.wait_for_map(self._id, timeout)
            return
        with ProgressBar(shown_as, self.progress) as bar:
            self._wait(timeout, lambda: bar.show() or None)

    def wait_for_end(self, timeout: float | None) -> None:
        """See :meth:`MainspringBackend.wait_for_map`."""
        self._wait(timeout, lambda: self.is_finished() or None)

    def _wait(self, timeout: float | None, look: Callable[[], bool | None]) -> None:
        wait_until(self._storage, self._awaited, timeout, look)

    async def await_end(self, timeout: float | None) -> None:  # noqa: ASYNC109 # the sync form's own
        """See :meth:`MapResult.await_result`."""

        async def look() -> bool | None:
            return await sync_to_async(self.is_finished)() or None

        await await_until(self._storage, self._awaited, timeout, look)

    # The calls

    def result_of(self, index: int) -> TaskResult[Any] | None:
        """Return the result of one call as it is; None where there is none."""
        found = self._row_of(index)
        if found is None:
            return None
        row, items = found
        return row.result_at(index - row.first, items)

    def _row_of(self, index: int) -> tuple[Row, list[Any]] | None:
        # The row that has a call, and the items of the row.
        rows = self._read(index, 1)
        if not rows or not (row := rows[0]).first <= index:
            return None
        items = row.items()
        return (row, items) if index < row.first + len(items) else None

    def results_in(self, rows: Iterable[Job]) -> Iterator[TaskResult[Any]]:
        """Return the results of the calls of some rows."""
        for row in as_rows(rows):
            yield from row.results()

    def results(self) -> Iterator[TaskResult[Any]]:
        """Return the results of all calls in order; wait for each."""
        for row in self._finished_rows(None):
            yield from row.results()

    async def aresults(self) -> AsyncIterator[TaskResult[Any]]:
        """See :meth:`results`."""
        start, at_once = 0, 1
        while True:
            look = await sync_to_async(self._look)(start, at_once)
            if not look.rows and not look.is_end:
                again = partial(self._alook, start)
                awaited = self._awaited_call(start, look.unfinished)
                look = await await_until(self._storage, awaited, None, again)
            for row in look.rows:
                for result in row.results():
                    yield result
                    start += 1
            if look.is_end:
                return
            at_once = _next_number(look.rows)

    async def _alook(self, start: int) -> _Look | None:
        return _seen(await sync_to_async(self._look)(start, 1))

    def values(self, timeout: float | None, skip_failed: bool) -> Iterator[Any]:
        """See :meth:`MapResult.values`."""
        end = None if timeout is None else time.monotonic() + timeout
        return chain.from_iterable(self._values(end, skip_failed))

    def _values(self, end: float | None, skip_failed: bool) -> Iterator[list[Any]]:
        start, at_once, look = 0, 1, _Look([])
        while not look.is_end:
            look = self._look(start, at_once, values_only=True)
            if not look.rows and not look.is_end:
                look = self._wait_for_more(start, look.unfinished, end)
            for row in look.rows:
                if row.job.state == State.SUCCESSFUL:
                    values = self._values_of(row)
                    start += len(values)
                    yield values
                elif skip_failed:
                    start += self._number_in(row)
                else:
                    raise ValueError(row.failure)
            at_once = _next_number(look.rows)

    def _values_of(self, row: Row) -> list[Any]:
        if row.job.return_value is None and row.spec.has_chunks:
            return [None] * self._number_in(row)
        return row.values()

    def _number_in(self, row: Row) -> int:
        # How many calls a row has that was read without its arguments.
        whole = as_rows(self._storage.get_results([row.job.id]))
        return len(whole[0].items()) if whole else 1

    def _finished_rows(self, end: float | None) -> Iterator[Row]:
        # Each row once it is finished. What is not read again never changes, but by a retry.
        start, at_once = 0, 1
        while True:
            look = self._look(start, at_once)
            if not look.rows and not look.is_end:
                look = self._wait_for_more(start, look.unfinished, end)
            yield from look.rows
            if look.is_end:
                return
            last = look.rows[-1]
            start = last.first + len(last.items())
            at_once = _next_number(look.rows)

    def _wait_for_more(self, start: int, unfinished: str | None, end: float | None) -> _Look:
        left = None if end is None else max(end - time.monotonic(), 0)
        awaited = self._awaited_call(start, unfinished)
        # One row at a time, as most looks are in vain.
        return wait_until(self._storage, awaited, left, lambda: _seen(self._look(start, 1)))

    def _awaited_call(self, index: int, row: str | None) -> Awaited:
        return Awaited(f"Call {call_id(self._id, index)}", row, self._id)

    def _look(self, start: int, most: int, values_only: bool = False) -> _Look:
        rows = self._read_from(start, most, values_only)
        if not rows:
            record = self.record()
            if start >= record.stored:
                return _Look([], is_end=record.is_closed)
            rows = self._read_from(start, most, values_only)  # stored in the meantime
        if not rows or rows[0].first != start:
            raise TaskResultDoesNotExist(call_id(self._id, start))
        finished: list[Row] = []
        for row in rows:
            if not State(row.job.state).is_final:
                return _Look(finished, unfinished=row.job.id)
            finished.append(row)
        return _Look(finished)

    def _read_from(self, start: int, most: int, values_only: bool) -> list[Row]:
        # A call that none comes after is answered with the last row before it.
        return [row for row in self._read(start, most, values_only) if row.first >= start]

    def _read(self, start: int, most: int, values_only: bool = False) -> list[Row]:
        rows = as_rows(self._storage.read_rows(self._id, start, most, values_only), self._spec)
        return [row for row in rows if row.spec.map_id == self._id]

    def failures(self) -> Iterator[TaskResult[Any]]:
        """See :meth:`MapResult.errors`."""
        for ids in self._ids_in(_FAILED):
            for start in range(0, len(ids), _READ_TOGETHER):
                for row in self._rows_of(ids[start : start + _READ_TOGETHER]):
                    if row.job.state in _FAILED:  # and is not tried again by now
                        yield from row.results()

    def _rows_of(self, ids: Sequence[str]) -> list[Row]:
        # Without merges, in their order.
        rows = as_rows(self._storage.get_results(ids), self._spec)
        return sorted(row for row in rows if row.spec.map_id == self._id and not row.spec.is_merge)

    def _ids_in(self, states: tuple[State, ...]) -> Iterator[list[str]]:
        # Of rows without the merges, in their order; more and more at a time.
        last, most = "", _MANY
        while True:
            found = self._storage.rows_in(self._id, states, most)
            ids = [job_id for job_id, _ in found if job_id > last and not is_merge(job_id)]
            yield ids
            if len(found) < most:
                return
            last, most = found[-1][0], 4 * most

    # The reduced value

    def reduced(self) -> TaskResult[Any] | None:
        """Return the result that has the reduced value, or None if there is none yet."""
        record = self.record()
        if record.result_id is None:
            return None
        jobs = self._storage.get_results([record.result_id])
        if not jobs:
            raise TaskResultDoesNotExist(record.result_id)
        return TaskResult.from_job(jobs[0])

    # Changes

    def retry_failed(self) -> int:
        """See :meth:`MapResult.retry_failed`."""
        failed = self.progress().failed
        return failed if self._storage.retry_failed(self._id, clock_now()) else 0

    def cancel(self) -> int:
        """See :meth:`MapResult.cancel`."""
        before = self._cancelled()
        self._storage.close_map(self._id)
        while found := self._unfinished():
            while found:
                self._tell_cancelled(self._storage.cancel(found))
                found = self._unfinished()
            self._storage.close_map(self._id)  # comes to its end, or to merges, which end it
        return self._cancelled() - before

    def _unfinished(self) -> list[str]:
        return [job_id for job_id, _ in self._storage.rows_in(self._id, _UNFINISHED, _MANY)]

    def _cancelled(self) -> int:
        self.record()
        return self._storage.count_calls(self._id).get(State.CANCELLED, 0)

    def _tell_cancelled(self, ids: list[str]) -> None:
        if not signals.task_cancelled.receivers:
            return
        for row in self._rows_of(ids):
            for result in row.results():
                signals.task_cancelled.send(type(self._backend), details=signals.Cancelled(result))

    def cancel_call(self, index: int) -> bool:
        """Cancel one call; whether that was still possible.

        Raises ``ValueError`` where others share its row, and ``TaskResultDoesNotExist``.
        """
        found = self._row_of(index)
        if found is None:
            raise TaskResultDoesNotExist(call_id(self._id, index))
        row, items = found
        if State(row.job.state).is_final:
            return False
        if len(items) > 1:
            raise ValueError(
                f"Call {call_id(self._id, index)} cannot be cancelled by itself: it is stored "
                f"together with {len(items) - 1:,} others of its map. Cancel the map."
            )
        was_cancelled = bool(self._storage.cancel([row.job.id]))
        if was_cancelled and self.record().is_closed:
            self._storage.close_map(self._id)  # it may have been the last one
        return was_cancelled


def _seen(look: _Look) -> _Look | None:
    return look if look.rows or look.is_end else None


def _next_number(rows: list[Row]) -> int:
    # How many rows to read next: twice as many as these, as far as they are small.
    size = sum(len(row.job.arguments) + len(row.job.return_value or b"") for row in rows)
    fit = _READ_AT_ONCE * len(rows) // (size + 1)
    return max(min(2 * len(rows), fit, _MOST_ROWS), 1)
