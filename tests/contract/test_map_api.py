"""task.map() and its handle, on every backend."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from threading import Event
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch

from mainspring import MapResult, TaskResult, signals, task
from mainspring.backends import map_reading, mapping
from mainspring.backends.database.models import StoredJob
from mainspring.core import chunks
from tests.contract.map_hands import Hands
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_threads
from tests.contract.tasks import add, add_soon, echo

SUCCESSFUL, FAILED = TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED

# Whether the odd numbers are welcome.
mended = Event()


@task
def even(number: int) -> int:
    """Return an even number."""
    if number % 2 and not mended.is_set():
        raise ValueError(f"{number} is odd")
    return number


@task
def nothing(number: int) -> None:
    """Return nothing."""


@task
def joined(left: str, right: str) -> str:
    """Join texts, which shows their order."""
    return left + right


@task
def text_of(number: int) -> str:
    """Return a number as text."""
    return f"<{number}>"


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The contract's jobs wait for the test to claim them.
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)
    mended.clear()
    yield
    mended.clear()


@pytest.fixture
def hands(store: Store) -> Hands:
    """What runs the rows."""
    return Hands(store)


# The calls


def test_a_map_is_run_and_read(store: Store, hands: Hands) -> None:
    handle = add.map(range(100))
    assert (handle.total, handle.done, handle.failed, handle.is_finished) == (100, 0, 0, False)
    hands.run_all()
    assert handle.wait(timeout=5) is handle
    assert handle.progress == (100, 100, 100, 0, 0, True)
    assert list(handle.values()) == list(range(100))
    results = list(handle)
    assert [result.id for result in results] == [f"{handle.id}:{i}" for i in range(100)]
    assert [result.args for result in results] == [[i] for i in range(100)]
    assert [result.return_value for result in results] == list(range(100))
    assert {result.status for result in results} == {SUCCESSFUL}
    assert {tuple(result.worker_ids) for result in results} == {(hands.worker.id,)}
    assert {result.task for result in results} == {add}
    assert len(handle) == 100


def test_starmap_spreads_its_items(store: Store, hands: Hands) -> None:
    handle = add.starmap([(1, 2), [3, 4], (5,)])
    hands.run_all()
    assert list(handle.values()) == [3, 7, 5]
    assert [result.args for result in handle] == [[1, 2], [3, 4], [5]]


def test_calls_with_rows_of_their_own(store: Store, hands: Hands) -> None:
    handle = add_soon.starmap((i, 1) for i in range(20))
    hands.run_all()
    assert list(handle.values()) == [i + 1 for i in range(20)]
    assert [result.args for result in handle] == [[i, 1] for i in range(20)]
    assert handle[7].return_value == 8


def test_each_call_is_a_result_like_any_other(store: Store, hands: Hands) -> None:
    handle = add.map(range(50))
    one = add.get_result(f"{handle.id}:42")
    assert (one.status, one.args, one.task) == (TaskResultStatus.READY, [42], add)
    jobs = hands.claim()
    assert one.refresh().status == TaskResultStatus.RUNNING
    for job in jobs:
        hands.run(job)
    assert one.refresh().return_value == 42
    assert one.wait(timeout=5).return_value == 42
    assert tuple(handle[42]) == tuple(one.refresh()) == tuple(list(handle)[42])
    assert handle[-1].id == f"{handle.id}:49"
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize("index", [50, -51, 10**10, 10**12])
def test_a_call_that_is_not_there(store: Store, index: int) -> None:
    handle = add.map(range(50))
    with pytest.raises(IndexError, match="no call"):
        _ = handle[index]
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(f"{handle.id}:{index}")


def test_only_whole_numbers_are_indexes(store: Store) -> None:
    handle: Any = add.map(range(3))
    for index in ("0", 1.0, slice(2)):
        with pytest.raises(TypeError):
            _ = handle[index]


def test_values_that_are_all_null(store: Store, hands: Hands) -> None:
    handle = nothing.map(range(30))
    hands.run_all()
    assert list(handle.values()) == [None] * 30
    assert [result.return_value for result in handle] == [None] * 30


# While it runs


@with_threads
def test_results_are_read_while_the_map_runs(store: Store, hands: Hands) -> None:
    handle = add.map(range(64))
    go_on = [Event() for _ in range(3)]

    def work() -> None:
        jobs = hands.claim()
        for job in jobs[:4]:
            hands.run(job)
        go_on[0].wait(5)
        for job in reversed(jobs[4:]):
            hands.run(job)

    working = store.in_thread(work)
    results = iter(handle)
    first = list(islice(results, 6))
    assert [result.return_value for result in first] == list(range(6))
    go_on[0].set()
    assert [result.return_value for result in results] == list(range(6, 64))
    working.result(5)


@with_threads
def test_results_are_read_while_items_are_still_stored(store: Store, hands: Hands) -> None:
    stored, finish = Event(), Event()
    ids: list[str] = []

    def items() -> Iterator[int]:
        yield from range(3)
        ids.extend(job.id for job in hands.claim())
        stored.set()
        finish.wait(5)
        yield from range(3, 20)

    def produce() -> MapResult[int]:
        return add.map(items())

    producing = store.in_thread(produce)
    assert stored.wait(5)
    (job,) = store.storage.get_results(ids[:1])
    spec = chunks.spec_of(job.options)
    assert spec is not None
    handle = add.get_map(spec.map_id)
    assert handle.total is None
    assert handle.progress.total is None
    assert bool(handle)
    with pytest.raises(TypeError, match="no length yet"):
        len(handle)
    with pytest.raises(IndexError):
        _ = handle[15]
    for claimed in store.storage.get_results(ids):
        hands.run(claimed)
    results = iter(handle)
    assert next(results).return_value == 0
    finish.set()
    assert producing.result(5) == handle
    hands.run_all()
    assert [result.return_value for result in results] == list(range(1, 20))
    assert len(list(handle)) == 20


def test_who_waits_too_long_is_told(store: Store) -> None:
    handle = add.map(range(5))
    with pytest.raises(TimeoutError, match=f"Map {handle.id}"):
        handle.wait(timeout=0.02)
    with pytest.raises(TimeoutError, match=f"Call {handle.id}:0"):
        list(handle.values(timeout=0.02))
    with pytest.raises(TimeoutError):
        async_to_sync(handle.await_result)(0.02)


@with_threads
def test_who_waits_for_one_call_is_told_of_its_end(store: Store, hands: Hands) -> None:
    one = add.map(range(20))[17]
    with pytest.raises(TimeoutError, match=f"Result {one.id}"):
        one.wait(timeout=0.02)
    working = store.in_thread(hands.run_all)
    assert one.wait(timeout=10).return_value == 17
    assert async_to_sync(one.await_result)(10).return_value == 17
    working.result(5)


@with_threads
def test_who_waits_is_told_of_the_end(store: Store, hands: Hands) -> None:
    handle = add.map(range(200))
    working = store.in_thread(hands.run_all)
    assert handle.wait(timeout=10).is_finished
    working.result(5)


@with_threads
def test_async_code_waits_and_reads(store: Store, hands: Hands) -> None:
    async def numbers() -> AsyncIterator[int]:
        for i in range(30):
            yield i

    async def use() -> list[int]:
        handle = await add.amap(numbers())
        working = store.in_thread(hands.run_all)
        values = [result.return_value async for result in handle]
        assert await asyncio.wait_for(handle.await_result(), 5) is handle
        assert (await handle).id == handle.id
        assert (await handle.aprogress()).done == 30
        assert (await add.aget_result(f"{handle.id}:3")).return_value == 3
        assert await add.aget_map(handle.id) == handle
        working.result(5)
        return values

    assert async_to_sync(use)() == list(range(30))


# Errors


def test_failed_calls_have_their_own_errors(store: Store, hands: Hands) -> None:
    handle = even.map(range(20))
    hands.run_all()
    assert handle.wait(timeout=5).progress == (20, 20, 20, 10, 0, True)
    failures = list(handle.errors())
    assert [result.args for result in failures] == [[i] for i in range(1, 20, 2)]
    assert "ValueError: 3 is odd" in failures[1].errors[0].traceback
    assert {result.status for result in failures} == {FAILED}
    assert list(handle.values(skip_failed=True)) == list(range(0, 20, 2))
    values = handle.values()
    assert next(values) == 0
    with pytest.raises(ValueError, match=f"Call {handle.id}:1 failed: ValueError: 1 is odd"):
        next(values)
    assert [result.status for result in handle] == [SUCCESSFUL, FAILED] * 10


def test_many_errors_are_read_a_few_at_a_time(
    store: Store, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_reading, "_MANY", 3)
    monkeypatch.setattr(map_reading, "_READ_TOGETHER", 2)
    handle = even.map(range(60))
    hands.run_all()
    assert [result.args for result in handle.errors()] == [[i] for i in range(1, 60, 2)]


def test_failed_calls_are_run_again(store: Store, hands: Hands) -> None:
    handle = even.map(range(20), reduce=add)
    hands.run_all()
    assert handle.result.status == FAILED
    assert handle.wait(timeout=5).retry_failed() == 10
    assert not handle.is_finished
    mended.set()
    hands.run_all()
    assert list(handle.wait(timeout=5).values()) == list(range(20))
    assert handle[3].attempts == 2
    assert handle.result.return_value == sum(range(20))
    assert handle.retry_failed() == 0


# Cancelling


def test_cancelling_a_map_ends_it(store: Store, hands: Hands) -> None:
    handle = add.map(range(100))
    jobs = hands.claim()
    hands.run(jobs[0])
    hands.run(jobs[-1])
    done = handle.done
    assert handle.cancel() == 100 - done
    assert handle.wait(timeout=5).progress == (100, 100, 100, 100 - done, 0, True)
    assert handle[1].status == FAILED
    assert "TaskCancelled" in handle[50].errors[-1].exception_class_path
    assert next(result.id for result in handle.errors()) == f"{handle.id}:1"
    assert handle.cancel() == 0
    assert async_to_sync(handle.acancel)() == 0


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_cancelling_a_map_that_is_reduced(store: Store, hands: Hands, on_error: Any) -> None:
    handle = add.map(range(100), reduce=add, on_error=on_error)
    hands.run(hands.claim()[-1])
    assert handle.cancel() > 0
    assert handle.wait(timeout=5).result.status == FAILED
    assert hands.claim() == []


def test_cancelling_is_told_for_each_call(store: Store) -> None:
    told: list[str] = []

    def receive(details: signals.Cancelled, **_: Any) -> None:
        told.append(details.task_result.id)

    signals.task_cancelled.connect(receive)
    try:
        handle = add.map(range(10))
        assert handle.cancel() == 10
    finally:
        signals.task_cancelled.disconnect(receive)
    assert told == [f"{handle.id}:{i}" for i in range(10)]


def test_a_call_that_shares_a_row_cannot_be_cancelled_alone(store: Store) -> None:
    handle = add.map(range(10))
    with pytest.raises(ValueError, match="together with 1 others of its map"):
        handle[3].cancel()
    assert handle[0].cancel()
    assert not handle[0].cancel()
    assert handle.progress.failed == 1


def test_the_last_call_that_is_cancelled_ends_the_map(store: Store) -> None:
    handle = add_soon.map([1, 2])
    assert handle[0].cancel()
    assert not handle.is_finished
    assert handle[1].cancel()
    assert handle.wait(timeout=5).is_finished


# Reduce


@pytest.mark.parametrize("number", [1, 2, 100])
def test_values_are_reduced_in_their_order(store: Store, hands: Hands, number: int) -> None:
    handle = text_of.map(range(number), reduce=joined)
    with pytest.raises(ValueError, match="wait"):
        _ = handle.result
    hands.run_all()
    result = handle.wait(timeout=5).result
    assert result.return_value == "".join(f"<{i}>" for i in range(number))
    assert (result.task_path, result.task.func) == (joined.module_path, joined.func)
    assert tuple(result.refresh()) == tuple(joined.get_result(result.id)) == tuple(result)
    assert result.wait(timeout=5) == result
    assert list(handle.values()) == [f"<{i}>" for i in range(number)]


def test_failed_calls_are_left_out_if_wanted(store: Store, hands: Hands) -> None:
    handle = even.map(range(20), reduce=add, on_error="skip")
    hands.run_all()
    assert handle.wait(timeout=5).result.return_value == sum(range(0, 20, 2))


def test_a_map_that_is_not_reduced_has_no_result(store: Store) -> None:
    handle = add.map([1])
    with pytest.raises(ValueError, match="is not reduced"):
        _ = handle.result


def test_what_follows_has_the_id_of_the_map(store: Store, hands: Hands) -> None:
    handle = add.map(range(5), then=echo.using(priority=3))
    jobs = hands.claim()
    for job in jobs:
        hands.run(job)
    (following,) = hands.claim()
    assert (following.task_path, following.priority) == (echo.module_path, 3)
    assert TaskResult[Any].from_job(following).args == [handle.id]


# The handle


def test_a_handle_is_found_again(store: Store) -> None:
    handle = add.map([1, 2], reduce=add)
    for same in (
        add.get_map(handle.id),
        store.backend.get_map(handle.id),
        pickle.loads(pickle.dumps(handle)),
    ):
        assert (same, hash(same), same.is_reduced) == (handle, hash(handle), True)
        assert same.total == 2
    assert handle != add.map([1, 2])
    assert repr(handle) == f"<MapResult {handle.id} of tests.contract.tasks.add>"
    assert handle.task == add
    with pytest.raises(TaskResultMismatch):
        echo.get_map(handle.id)


@pytest.mark.parametrize("unknown", ["", "no such id", "0" * 32, "'; --"])
def test_a_map_that_does_not_exist(store: Store, unknown: str) -> None:
    reads: list[Callable[[], Any]] = [
        lambda: add.get_map(unknown),
        lambda: add.get_result(f"{unknown}:0"),
        lambda: MapResult[int](unknown, "default", add.module_path, False).progress,
        lambda: list(MapResult[int](unknown, "default", add.module_path, False)),
        lambda: MapResult[int](unknown, "default", add.module_path, False).cancel(),
    ]
    for read in reads:
        with pytest.raises(TaskResultDoesNotExist):
            read()


def test_another_aliases_map_does_not_exist(store: Store) -> None:
    handle = add.using(backend="other").map([1])
    assert handle.backend == "other"
    with pytest.raises(TaskResultDoesNotExist):
        add.get_map(handle.id)
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(f"{handle.id}:0")
    assert handle.task == add.using(backend="other")


def test_a_map_of_nothing(store: Store) -> None:
    handle = add.map([], reduce=add)
    assert (handle.wait(timeout=5).total, list(handle), list(handle.values())) == (0, [], [])
    assert handle.result.status == FAILED


# Transactions


@on_databases
def test_a_map_is_part_of_the_transaction(store: Store, hands: Hands) -> None:
    with transaction.atomic(STORE):
        lost = add.map(range(1000))
        assert lost.total == 1000
        transaction.set_rollback(True, using=STORE)
    with pytest.raises(TaskResultDoesNotExist):
        _ = lost.total
    with transaction.atomic(STORE):
        handle = add.map(range(1000))
    hands.run_all()
    assert handle.wait(timeout=5).done == 1000


@on_databases
def test_the_items_may_come_from_the_same_database(store: Store) -> None:
    add.enqueue_many([(i,) for i in range(1200)])
    others = StoredJob.objects.using(STORE).filter(options=None)  # without the rows of the map
    arguments = others.values_list("arguments").iterator(chunk_size=100)
    assert add.map(len(one) for (one,) in arguments).total == 1200


@on_databases
def test_an_error_in_a_transaction_is_raised_as_it_is(store: Store) -> None:
    def items() -> Iterator[int]:
        yield from range(100)
        raise LookupError("no more")

    with pytest.raises(LookupError), transaction.atomic(STORE):
        add.map(items())
    assert dict(store.storage.stats().ready) == {}
