"""Producing maps: what becomes of items, when it is stored, and what is refused."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued
from django.test import override_settings
from django.utils import timezone

from mainspring import Limit, MapResult, Rate, Task, TaskResult
from mainspring.backends import item_taking, mapping
from mainspring.backends.item_taking import Taker
from mainspring.backends.memory import MemoryStorage
from mainspring.backends.shared import shared_storage
from mainspring.core import codec
from mainspring.core.chunks import MapRecord, first_of, items_in, spec_of
from mainspring.core.jobs import Job, State
from tests.unit.backends import KeptBackend
from tests.unit.tasks import add, add_soon, describe, echo, keep, make_group


class Recorder(MemoryStorage):
    """Notes down what is stored; keeps no rows if told so."""

    keeps = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.batches: list[tuple[float, Sequence[Job], int]] = []

    def add_rows(self, map_id: str, rows: Sequence[Job], stored: int) -> None:
        if self.keeps:
            super().add_rows(map_id, rows, stored)
            self.batches.append((time.monotonic(), rows, stored))

    @property
    def sizes(self) -> list[list[int]]:
        """How many calls each row has, by the batch in which they were stored."""
        ends = [first_of(row.id) for _, rows, _ in self.batches for row in rows][1:]
        ends.append(self.batches[-1][2])
        sizes, at = [], 0
        for _, rows, _ in self.batches:
            sizes.append([ends[at + i] - first_of(row.id) for i, row in enumerate(rows)])
            at += len(rows)
        return sizes


class RecordingBackend(KeptBackend):
    """A backend that does; others run the tasks, if anybody."""

    supports_worker = True
    options_supported = frozenset({"MAX_PAYLOAD", "QUEUE_LIMITS"})

    @property
    def storage(self) -> Recorder:
        return shared_storage(self.config, Recorder)


@pytest.fixture(autouse=True)
def recorder() -> Iterator[Recorder]:
    """What has noted down everything."""
    entry = {"BACKEND": f"{__name__}.RecordingBackend", "QUEUES": []}
    limited = {
        **entry,
        "OPTIONS": {"QUEUE_LIMITS": {"narrow": {"concurrency": 1}}, "MAX_PAYLOAD": 1000},
    }
    kept = {"BACKEND": "tests.unit.backends.KeptBackend"}
    with override_settings(TASKS={"default": entry, "limited": limited, "kept": kept}):
        backend: Any = task_backends["default"]
        yield backend.storage


def rows_of(handle: MapResult[Any]) -> list[Job]:
    backend: Any = task_backends[handle.backend]
    return cast("list[Job]", backend.storage.read_rows(handle.id, 0, 1_000_000))


def record_of(handle: MapResult[Any]) -> MapRecord:
    backend: Any = task_backends[handle.backend]
    record = backend.storage.find_map(handle.id)
    assert isinstance(record, MapRecord)
    return record


# Rows


def test_rows_hold_the_items_in_their_order(recorder: Recorder) -> None:
    handle = add.map(range(10))
    rows = rows_of(handle)
    assert [codec.decode(row.arguments) for row in rows] == [
        [0],
        [1],
        [2, 3],
        [4, 5],
        [6, 7, 8, 9],
    ]
    assert [first_of(row.id) for row in rows] == [0, 1, 2, 4, 6]
    assert {(row.task_path, row.queue_name, row.state) for row in rows} == {
        ("tests.unit.tasks.add", "default", State.READY)
    }
    assert spec_of(rows[0].options) == (handle.id, "items", None, "fail", False)
    record = record_of(handle)
    assert (record.stored, record.is_closed, record.options) == (10, True, rows[0].options)


def test_the_first_row_is_stored_alone_and_batches_grow(recorder: Recorder) -> None:
    add.map(range(100))
    assert recorder.sizes[:3] == [[1], [1, 2], [2, 4, 4, 8]]
    assert sum(map(sum, recorder.sizes)) == 100
    assert [stored for _, _, stored in recorder.batches][:3] == [1, 4, 22]


def test_rows_grow_up_to_10_000_calls_and_batches_up_to_a_size(recorder: Recorder) -> None:
    add.map(range(300_000))
    sizes = [size for batch in recorder.sizes for size in batch]
    assert max(sizes) == 10_000
    for _, rows, _ in recorder.batches:
        assert sum(len(row.arguments) for row in rows) < 500_000


def test_rows_of_large_items_take_about_100_000_bytes(recorder: Recorder) -> None:
    echo.map("x" * 5000 for _ in range(200))
    sizes = [size for batch in recorder.sizes for size in batch]
    assert sizes[:8] == [1, 1, 2, 2, 4, 4, 8, 8]
    assert max(sizes) == 19


def test_a_row_of_items_that_are_suddenly_large_is_several(recorder: Recorder) -> None:
    items = [*["x"] * 5000, *["x" * 50_000] * 100]
    handle = echo.map(items)
    rows = rows_of(handle)
    assert [item for row in rows for item in codec.decode(row.arguments)] == items
    assert max(len(row.arguments) for row in rows) <= 200_000


def test_one_large_item_is_a_row(recorder: Recorder) -> None:
    handle = echo.map(["a", "b" * 1_000_000, "c", "d" * 1_000_000, "e"])
    rows = rows_of(handle)
    assert [item[0] for row in rows for item in codec.decode(row.arguments)] == list("abcde")


def test_lists_of_arguments(recorder: Recorder) -> None:
    handle = add.starmap([(1, 2), [3, 4]])
    rows = rows_of(handle)
    assert [items_in(row.arguments) for row in rows] == [[(1, 2)], [(3, 4)]]
    spec = spec_of(rows[0].options)
    assert spec is not None
    assert spec.kind == "lists"


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        (add_soon, {}),
        (describe, {}),
        (add, {"metadata": {"a": 1}}),
        (add, {"concurrency": Limit(2)}),
        (add, {"backend": "limited", "queue_name": "narrow"}),
    ],
)
def test_what_cannot_share_a_row_has_one_for_each_call(
    task: Task[..., Any], changes: dict[str, Any]
) -> None:
    task = task.using(**changes)
    handle = task.map(range(7))
    rows = rows_of(handle)
    assert [codec.decode(row.arguments) for row in rows] == [[[i], {}] for i in range(7)]
    assert {spec.kind for row in rows if (spec := spec_of(row.options))} == {"calls"}
    assert {row.metadata for row in rows} == {b'{"a":1}' if task.metadata else None}
    if rows[0].limit_group is not None:
        assert {row.state for row in rows} == {State.HELD}


def test_limits_by_key_are_those_of_each_call() -> None:
    handle = add.using(concurrency=Limit(1, key="{a}")).map([1, 2, 1])
    first, second, third = (row.limit_group for row in rows_of(handle))
    assert first == third != second


def test_rows_carry_what_the_task_was_given() -> None:
    later = timezone.now() + timedelta(hours=1)
    handle = add.using(run_after=later, priority=7, queue_name="mail", max_attempts=3).map([1, 2])
    for row in rows_of(handle):
        assert (row.priority, row.queue_name, row.state) == (7, "mail", State.SCHEDULED)
        assert row.available_at == row.run_after
        assert b'"max_attempts":3' in (row.options or b"")


def test_an_empty_map_is_at_its_end_at_once(recorder: Recorder) -> None:
    handle = add.map([])
    assert recorder.batches == []
    assert (handle.total, handle.is_finished, list(handle)) == (0, True, [])


# Streaming


class Clock:
    """Stands still, unless told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the producer looks at."""
    clock = Clock()
    monkeypatch.setattr(item_taking, "time", clock)
    monkeypatch.setattr(mapping, "time", clock)
    return clock


@pytest.mark.parametrize("pause", [0.001, 0.01, 0.03, 0.2, 5.0])
def test_what_was_made_is_stored_soon_where_the_next_takes_long(
    recorder: Recorder, clock: Clock, pause: float
) -> None:
    made: list[float] = []

    def slow() -> Iterator[int]:
        for i in range(500):
            clock.now += pause
            stored = recorder.batches[-1][2] if recorder.batches else 0
            # The last one cannot be: its successor is being made.
            assert all(at > clock.now - pause - 0.15 for at in made[stored:])
            made.append(clock.now)
            yield i

    handle = add.map(slow())
    assert handle.total == 500


def test_a_generator_that_becomes_slow_holds_back_few(clock: Clock) -> None:
    def items() -> Iterator[int]:
        yield from range(5000)
        for i in range(300):
            clock.now += 1
            yield i

    taker = Taker(items())
    while len(taken := taker.take(10_000)) > 100:
        pass
    assert [len(taken), *(len(taker.take(10_000)) for _ in range(50))] == [1] * 51


def test_memory_stays_constant(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "keeps", False)
    add.map(range(100))
    tracemalloc.start()
    try:
        add.map(range(1_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_async_iterables_are_streamed(recorder: Recorder) -> None:
    async def slow() -> AsyncIterator[int]:
        yield 0
        while not recorder.batches:  # noqa: ASYNC110 # before the next one is there
            await asyncio.sleep(0.001)
        for i in range(1, 200):
            yield i
        while recorder.batches[-1][2] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        yield 200

    async def use() -> MapResult[int]:
        return await add.amap(slow())

    handle = async_to_sync(use)()
    items = [item for row in rows_of(handle) for item in codec.decode(row.arguments)]
    assert items == list(range(201))
    assert handle.total == 201


def test_the_async_forms_take_what_the_others_take() -> None:
    async def use() -> None:
        assert (await add.amap([1, 2])).task_path == "tests.unit.tasks.add"
        assert (await add.amap(i for i in range(5))).id
        assert (await add.astarmap([(1, 2)])).id
        empty = await add.amap(_aiter([]))
        assert (await empty.aprogress()).total == 0
        handle = await add.astarmap(_aiter([(1, 2)]))
        assert await add.aget_map(handle.id) == handle

    async_to_sync(use)()


async def _aiter(items: Sequence[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


# Errors


def test_where_an_item_is_refused_what_was_stored_is_cancelled(recorder: Recorder) -> None:
    with pytest.raises(TypeError, match="is a object, which is not JSON") as raised:
        add.map([*range(20), object()])
    of_item, of_map = raised.value.__notes__
    assert of_item == "In item 20 (counted from 0) of the map."
    stored = recorder.batches[-1][2]
    assert f"{stored} calls had been stored; those that had not finished were cancelled" in of_map
    handle = add.get_map(of_map.partition("map ")[2].partition(",")[0])
    assert handle.progress[:4] == (stored, stored, stored, stored)
    assert handle.is_finished


@pytest.mark.parametrize("error", [ValueError("no more"), KeyboardInterrupt()])
def test_what_the_iterable_raises_is_raised(recorder: Recorder, error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise error

    with pytest.raises(type(error)) as raised:
        add.map(items())
    assert raised.value is error
    assert "those that had not finished were cancelled" in error.__notes__[-1]
    assert {job.state for job in recorder._jobs.values()} == {State.CANCELLED}


def test_a_first_item_that_is_refused_leaves_nothing(recorder: Recorder) -> None:
    with pytest.raises(TypeError) as raised:
        add.map([object()])
    assert raised.value.__notes__ == ["In item 0 (counted from 0) of the map."]
    assert recorder._maps == {}


def test_async_iterables_that_raise(recorder: Recorder) -> None:
    async def items() -> AsyncIterator[int]:
        for i in range(10):
            yield i
        raise ValueError("no more")

    async def use() -> None:
        await add.amap(items())

    with pytest.raises(ValueError, match="no more") as raised:
        async_to_sync(use)()
    assert "cancelled" in raised.value.__notes__[-1]
    assert {job.state for job in recorder._jobs.values()} == {State.CANCELLED}


def test_async_items_that_are_refused(recorder: Recorder) -> None:
    async def use() -> None:
        await add.amap(_aiter([*range(20), object(), *range(20)]))

    with pytest.raises(TypeError, match="not JSON") as raised:
        async_to_sync(use)()
    assert raised.value.__notes__[0] == "In item 20 (counted from 0) of the map."
    assert {job.state for job in recorder._jobs.values()} == {State.CANCELLED}


def test_async_code_that_is_cancelled(recorder: Recorder) -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append("closed")

    async def use() -> None:
        mapping = asyncio.ensure_future(add.amap(endless()))
        while not recorder.batches:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        mapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mapping

    async_to_sync(use)()
    assert ended == ["closed"]
    assert {job.state for job in recorder._jobs.values()} == {State.CANCELLED}


def test_a_map_that_is_cancelled_while_it_is_stored(recorder: Recorder) -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        (found,) = recorder._maps.values()
        assert add.get_map(found.record.id).cancel() > 0
        yield from range(10)

    with pytest.raises(ValueError, match="takes no more rows"):
        add.map(items())
    assert {job.state for job in recorder._jobs.values()} == {State.CANCELLED}


def test_where_cancelling_fails_the_error_is_still_the_first_one(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the transaction is broken")

    def items() -> Iterator[int]:
        yield 1
        monkeypatch.setattr(recorder, "close_map", broken)
        raise LookupError("first")

    with pytest.raises(LookupError, match="first") as raised:
        add.map(items())
    assert "were not cancelled: the transaction is broken" in raised.value.__notes__[-1]


@pytest.mark.parametrize("items", [[1], ["text"], [{"a": 1}]])
@pytest.mark.parametrize("task", [add, add_soon])
def test_an_item_of_starmap_that_is_no_list(task: Task[..., Any], items: list[Any]) -> None:
    with pytest.raises(TypeError, match="list or tuple of arguments"):
        task.starmap(items)


def test_an_item_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="MAX_PAYLOAD allows 1,000") as raised:
        echo.using(backend="limited").map(["a", "b" * 2000])
    assert raised.value.__notes__[0] == "In item 1 (counted from 0) of the map."


# What is refused


def test_what_is_no_iterable_is_refused() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        add.map(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["reduce", "then"])
def test_what_is_no_fitting_task_is_refused(name: str) -> None:
    wrong: Any
    for wrong, error, message in (
        (add.func, TypeError, "must be a task"),
        (keep, ValueError, "own backend"),
        (make_group if name == "reduce" else add_soon, TypeError, "must be a task of"),
    ):
        with pytest.raises(error, match=message):
            add.map([1], **{name: wrong})


@pytest.mark.parametrize(
    ("merge", "changes"),
    [(add_soon, {}), (describe, {}), (add, {"concurrency": Limit(1)}), (add, {"rate": Rate(1, 1)})],
)
def test_a_merge_is_a_plain_task(merge: Task[..., Any], changes: dict[str, Any]) -> None:
    with pytest.raises((InvalidTask, TypeError), match="reduce"):
        add.map([1], reduce=merge.using(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"unique": True},
        {"metadata": {"a": 1}},
        {"concurrency": Limit(1)},
        {"max_attempts": 3},
        {"run_after": timezone.now()},
    ],
)
def test_what_follows_is_an_ordinary_call(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidTask, match="then=echo cannot"):
        add.map([1], then=echo.using(**changes))


def test_on_error_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="on_error"):
        add.map([1], on_error="ignore")  # type: ignore[arg-type]


def test_the_record_says_what_follows() -> None:
    handle = add.map([1], reduce=add, on_error="skip", then=echo.using(priority=3))
    record = record_of(handle)
    assert (record.spec.merge, record.spec.on_error) == ("tests.unit.tasks.add", "skip")
    assert record.follow_up == b'["tests.unit.tasks.echo","default",3]'
    assert handle.is_reduced


# Signals


def test_each_call_is_told_where_somebody_listens() -> None:
    told: list[TaskResult[Any]] = []

    def receive(task_result: TaskResult[Any], **_: Any) -> None:
        told.append(task_result)

    task_enqueued.connect(receive)
    try:
        handle = add.map(range(5))
    finally:
        task_enqueued.disconnect(receive)
    assert [(one.id, one.args) for one in told] == [(f"{handle.id}:{i}", [i]) for i in range(5)]
