"""Mapping: streams the items of a map into rows, of which workers run the first ones already."""

import time
from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async

from mainspring import signals
from mainspring.backends.item_taking import PATIENCE, Taker, take_async
from mainspring.backends.map_plans import Plan
from mainspring.backends.shared import start_embedded_worker
from mainspring.core import clock, codec
from mainspring.core.chunks import MOST_CALLS, encode_items, row_id
from mainspring.core.gates import Gate
from mainspring.core.jobs import Job, State
from mainspring.core.map_results import MapResult
from mainspring.core.unique import Unique, unique_of

if TYPE_CHECKING:
    from mainspring.backends.base import MainspringBackend

_MOST_CALLS: Final = 10_000  # of a row
_ROW_BYTES: Final = 100_000  # of arguments, about
_BATCH_BYTES: Final = 400_000  # of rows that are stored together
_MOST_ROWS: Final = 1024  # that are stored together
_OVERHEAD: Final = 250  # bytes that a row takes besides its arguments


def gated(job: Job, gate: Gate) -> Job:
    """Return a new job as one that has limits to wait for."""
    state = State.HELD if job.state == State.READY else job.state
    return job._replace(state=state, limit_group=gate.group_of(job.arguments))


class Producer:
    """Makes rows of items and stores them, a few at first and more at a time later."""

    def __init__(self, backend: "MainspringBackend", what: Plan) -> None:
        self._backend = backend
        self._storage = backend.storage
        self._plan = what
        self._id = what.record.id
        self._is_calls = what.record.spec.kind == "calls"
        self._max_bytes = backend.config.options.max_payload
        self._made = self._stored = 0  # calls
        self._rows = 0
        self._bytes_per_call = 1.0  # in the last row
        self._pending: list[Job] = []
        self._uniques: list[Unique | None] = []  # of those, where the task is unique
        self._pending_bytes = 0
        self._batch = 1  # rows
        self._is_open = False
        self._stored_at = time.monotonic()

    @property
    def wanted(self) -> int:
        """How many items :meth:`add` is to be given next, at most."""
        if self._is_calls:
            return self._batch - len(self._pending)
        # Two rows of each number of calls: 1, 1, 2, 2, 4, 4, …
        grown = 1 << min(self._rows // 2, 20)
        fit = int(_ROW_BYTES / self._bytes_per_call)
        return max(min(grown, fit, _MOST_CALLS), 1)

    def add(self, items: list[Any]) -> None:
        """Take more items; those that are due are stored when this returns."""
        if self._made + len(items) > MOST_CALLS:
            raise ValueError(f"A map has at most {MOST_CALLS:,} calls.")
        if self._is_calls:
            for item in items:
                self._add_call(item)
        else:
            self._add_row(items)
        if (
            len(self._pending) >= self._batch
            or self._pending_bytes >= _BATCH_BYTES
            or time.monotonic() - self._stored_at > PATIENCE
        ):
            self._store()

    def add_at_once(self, items: list[Any]) -> None:
        """Take more items and store them, whether that is due or not."""
        self.add(items)
        self._store()

    def _add_row(self, items: list[Any]) -> None:
        body = encode_items(items, self._plan.is_lists, self._made, self._max_bytes)
        self._bytes_per_call = len(body) / len(items)
        if len(body) > 2 * _ROW_BYTES and len(items) > 1:  # larger items than before
            fit = max(int(_ROW_BYTES / self._bytes_per_call), 1)
            for start in range(0, len(items), fit):
                self._add_row(items[start : start + fit])
            return
        self._append(body, len(items))

    def _add_call(self, item: Any) -> None:
        args, number = item if self._plan.is_lists else (item,), self._made
        try:
            check_list(args)
            row = self._append(codec.encode_call(args, {}, self._max_bytes), 1)
            if self._plan.unique is not None:
                self._uniques.append(unique_of(self._plan.unique, row))
        except (TypeError, ValueError) as error:
            error.add_note(f"In item {number} (counted from 0) of the map.")
            raise

    def _append(self, body: bytes, number: int) -> Job:
        now, like = clock.now(), self._plan.row
        run_after = like.run_after
        row = like._replace(
            id=row_id(self._id, self._made),
            arguments=body,
            enqueued_at=now,
            available_at=now if run_after is None else run_after,
            state=State.READY if run_after is None or run_after <= now else State.SCHEDULED,
        )
        self._pending.append(row if self._plan.gate is None else gated(row, self._plan.gate))
        self._pending_bytes += len(body) + _OVERHEAD
        self._made += number
        self._rows += 1
        return row

    def _store(self) -> None:
        self._open()
        if rows := self._pending:
            new = self._add_rows(rows)
            if not self._stored and not self._backend.supports_worker:
                start_embedded_worker(self._backend.alias)  # nobody else can work on it
            self._stored = self._made
            self._batch = min(2 * self._batch, _MOST_ROWS)
            self._pending, self._pending_bytes = [], 0
            if signals.is_received(signals.task_enqueued):
                self._tell(new)
        self._stored_at = time.monotonic()

    def _add_rows(self, rows: list[Job]) -> list[Job]:
        # Return those that are to be run.
        if self._plan.unique is None:
            self._storage.add_rows(self._id, rows, self._made)
            return rows
        calls, self._uniques = list(zip(rows, self._uniques, strict=True)), []
        jobs = self._storage.add_unique_rows(self._id, calls, self._made)
        return [row for row, job in zip(rows, jobs, strict=True) if job.id == row.id]

    def _open(self) -> None:
        if not self._is_open:
            self._storage.open_map(self._plan.record)
            self._is_open = True

    def _tell(self, rows: list[Job]) -> None:
        for result in self._backend.read_map(self._id).results_in(rows):
            signals.task_enqueued.send(type(self._backend), task_result=result)

    def close(self) -> MapResult[Any]:
        """Store the rest and return the handle on the map."""
        self._store()
        self._storage.close_map(self._id)
        return self._plan.handle

    def give_up(self, error: BaseException) -> None:
        """Cancel what was stored, because of an error, which then tells of it."""
        if self._is_open:
            error.add_note(self._cancelled())

    def _cancelled(self) -> str:
        of_what = f"of map {self._id}, {self._stored:,} calls had been stored"
        try:
            self._backend.read_map(self._id).cancel()
        except Exception as error:  # noqa: BLE001 # of a transaction that is broken, for one
            return f"Before that, {of_what}; they were not cancelled: {error}"
        return f"Before that, {of_what}; those that had not finished were cancelled."


def check_list(args: Any) -> None:
    """Raise ``TypeError`` for an item of starmap() that is no list of arguments."""
    if not isinstance(args, list | tuple):
        raise TypeError(f"An item of starmap() is a list or tuple of arguments, not {args!r}.")


def store_map(backend: "MainspringBackend", what: Plan, items: Iterable[Any]) -> MapResult[Any]:
    """Store a map of ``items`` and return the handle on it."""
    taker, producer = Taker(items), Producer(backend, what)
    try:
        while taken := taker.take(producer.wanted):
            producer.add(taken)
        return producer.close()
    except BaseException as error:
        producer.give_up(error)
        raise


async def astore_map(
    backend: "MainspringBackend", what: Plan, items: AsyncIterable[Any]
) -> MapResult[Any]:
    """See :func:`store_map`."""
    producer = await sync_to_async(Producer)(backend, what)
    try:
        async with aclosing(take_async(items, lambda: producer.wanted)) as taking:
            async for taken in taking:
                await sync_to_async(producer.add_at_once)(taken)
        return await sync_to_async(producer.close)()
    except BaseException as error:
        await sync_to_async(producer.give_up)(error)
        raise
