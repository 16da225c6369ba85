"""enqueue_many: many calls at once, all or none."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.tasks import TaskResultStatus

from mainspring import TaskResult
from mainspring.backends import bulk
from mainspring.backends.database.models import StoredJob
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases
from tests.contract.tasks import add


def test_each_call_has_a_result_of_its_own_in_order(store: Store) -> None:
    results = add.enqueue_many([(1,), [2, 3], {"a": 4, "b": 5}])
    assert [(result.args, result.kwargs) for result in results] == [
        ([1], {}),
        ([2, 3], {}),
        ([], {"a": 4, "b": 5}),
    ]
    assert [add.get_result(result.id) for result in results] == results
    assert {result.status for result in results} == {TaskResultStatus.READY}


def test_the_calls_may_come_from_a_generator(store: Store) -> None:
    results = add.using(priority=7).enqueue_many((i,) for i in range(1200))
    jobs = store.storage.get_results([result.id for result in results])
    assert len(jobs) == 1200
    assert {job.priority for job in jobs} == {7}


@pytest.mark.parametrize("number", [2, 1200])
def test_each_call_carries_what_the_task_was_given(store: Store, number: int) -> None:
    task = add.using(max_attempts=3, metadata={"a": 1})
    results = task.enqueue_many((i,) for i in range(number))
    assert results[-1].metadata == {"a": 1}
    jobs = store.storage.get_results([result.id for result in results])
    assert len(jobs) == number
    assert {(job.options, job.metadata) for job in jobs} == {(b'{"max_attempts":3}', b'{"a":1}')}


@pytest.fixture
def spooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what comes from iterators wait in a file, as more than memory is to hold."""
    monkeypatch.setattr(bulk, "_MOST_HELD", 1)


@pytest.mark.usefixtures("spooling")
def test_a_long_generator_has_the_same_results(store: Store) -> None:
    results = add.using(priority=7).enqueue_many((i, [i]) for i in range(2300))
    assert len(results) == 2300
    assert [result.args for result in results] == [[i, [i]] for i in range(2300)]
    assert (results[-1].args, results[1500].args) == ([2299, [2299]], [1500, [1500]])
    assert [result.args[0] for result in results[1998:2002]] == [1998, 1999, 2000, 2001]
    with pytest.raises(IndexError):
        _ = results[2300]
    assert {result.status for result in results} == {TaskResultStatus.READY}
    assert add.get_result(results[2200].id) == results[2200]
    jobs = store.storage.get_results([result.id for result in results])
    assert len(jobs) == 2300
    assert {job.priority for job in jobs} == {7}


@pytest.mark.usefixtures("spooling")
def test_of_a_long_generator_a_late_call_that_is_refused_leaves_none_stored(store: Store) -> None:
    with pytest.raises(TypeError, match="Argument 1") as raised:
        add.enqueue_many((i if i < 1700 else object(),) for i in range(1800))
    assert "In call 1700" in raised.value.__notes__[0]
    assert dict(store.storage.stats().ready) == {}


@pytest.mark.usefixtures("spooling")
@on_databases
def test_a_long_generator_takes_little_memory(store: Store) -> None:
    """As jobs, 20,000 calls take 12 MB."""
    add.enqueue_many((i,) for i in range(1200))
    tracemalloc.start()
    try:
        results = add.enqueue_many((i,) for i in range(20_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(results) == 20_000
    assert peak < 4_000_000


@pytest.mark.usefixtures("spooling")
@on_databases
def test_a_long_generator_is_part_of_the_transaction(store: Store) -> None:
    with transaction.atomic(STORE):
        add.enqueue_many((i,) for i in range(1200))
        transaction.set_rollback(True, using=STORE)
    assert dict(store.storage.stats().ready) == {}
    with transaction.atomic(STORE):
        add.enqueue_many((i,) for i in range(1200))
    assert dict(store.storage.stats().ready) == {"default": 1200}


@pytest.mark.usefixtures("spooling")
def test_a_long_generator_carries_what_the_task_was_given(store: Store) -> None:
    task = add.using(max_attempts=3, metadata={"a": 1})
    results = task.enqueue_many((i,) for i in range(1200))
    jobs = store.storage.get_results([result.id for result in results])
    assert {(job.options, job.metadata) for job in jobs} == {(b'{"max_attempts":3}', b'{"a":1}')}


def test_no_call_is_a_harmless_enqueue(store: Store) -> None:
    assert add.enqueue_many([]) == []


def test_a_call_that_is_refused_leaves_none_stored(store: Store) -> None:
    with pytest.raises(TypeError, match="Argument 1"):
        add.enqueue_many([(1,), (object(),)])
    assert dict(store.storage.stats().ready) == {}


def test_a_late_call_that_is_refused_leaves_none_stored(store: Store) -> None:
    """Also where the first ones were being stored already."""
    with pytest.raises(TypeError, match="Argument 1") as raised:
        add.enqueue_many([*((i,) for i in range(1700)), (object(),)])
    assert "In call 1700" in raised.value.__notes__[0]
    assert dict(store.storage.stats().ready) == {}


@on_databases
def test_a_late_call_that_is_refused_leaves_the_transaction_as_it_was(store: Store) -> None:
    with transaction.atomic(STORE):
        add.enqueue(1)
        with pytest.raises(TypeError, match="Argument 1"):
            add.enqueue_many([*((i,) for i in range(1700)), (object(),)])
        add.enqueue(2)
    assert dict(store.storage.stats().ready) == {"default": 2}


@on_databases
@pytest.mark.parametrize("most_held", [1, 10_000])
def test_the_calls_may_come_from_the_same_database(
    store: Store, most_held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_MOST_HELD", most_held)
    add.enqueue_many([(i,) for i in range(1200)])
    ids = StoredJob.objects.using(STORE).values_list("arguments").iterator(chunk_size=100)
    assert len(add.enqueue_many((len(arguments),) for (arguments,) in ids)) == 1200
    assert dict(store.storage.stats().ready) == {"default": 2400}


@pytest.mark.parametrize("call", ["text", 7, {1, 2}])
def test_what_is_no_list_of_arguments_is_refused(store: Store, call: Any) -> None:
    with pytest.raises(TypeError, match="A call is a list or tuple"):
        add.enqueue_many([call])


def test_from_async_code(store: Store) -> None:
    async def enqueue() -> Sequence[TaskResult[int]]:
        return await add.aenqueue_many([(1,), (2,)])

    assert [result.args for result in async_to_sync(enqueue)()] == [[1], [2]]


@pytest.mark.parametrize("number", [0, 1, 2, 1200])
@pytest.mark.parametrize("most_held", [1, 10_000])
def test_the_calls_may_come_from_an_asynchronous_generator(
    store: Store, most_held: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_MOST_HELD", most_held)

    async def calls() -> AsyncIterator[tuple[int]]:
        for i in range(number):
            if not i % 500:
                await asyncio.sleep(0)
            yield (i,)

    results = async_to_sync(add.aenqueue_many)(calls())
    assert [result.args for result in results] == [[i] for i in range(number)]
    assert dict(store.storage.stats().ready) == ({"default": number} if number else {})


@pytest.mark.parametrize("most_held", [1, 10_000])
def test_an_asynchronous_generator_may_fail(
    store: Store, most_held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is stored, and it raises what it raised, or what is wrong with a call."""
    monkeypatch.setattr(bulk, "_MOST_HELD", most_held)

    async def calls(last: Any) -> AsyncIterator[tuple[Any]]:
        for i in range(600):
            yield (i,)
        if last is None:
            raise LookupError("no more")
        yield (last,)

    with pytest.raises(LookupError, match="no more"):
        async_to_sync(add.aenqueue_many)(calls(None))
    with pytest.raises(TypeError, match="Argument 1") as raised:
        async_to_sync(add.aenqueue_many)(calls(object()))
    assert "In call 600" in raised.value.__notes__[0]
    assert dict(store.storage.stats().ready) == {}


@on_databases
@pytest.mark.parametrize("most_held", [1, 10_000])
def test_an_asynchronous_query_may_yield_the_calls(
    store: Store, most_held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in the one thread that all sync code of this loop runs in."""
    monkeypatch.setattr(bulk, "_MOST_HELD", most_held)
    add.enqueue_many([(i,) for i in range(300)])

    async def calls() -> AsyncIterator[tuple[int]]:
        async for arguments in StoredJob.objects.using(STORE).values_list("arguments", flat=True):
            yield (len(arguments),)

    assert len(async_to_sync(add.aenqueue_many)(calls())) == 300
    assert dict(store.storage.stats().ready) == {"default": 600}


def test_each_call_is_told(store: Store, heard: list[tuple[str, TaskResult[Any]]]) -> None:
    results = add.enqueue_many([(1,), (2,)])
    assert heard == [("enqueued", result) for result in results]


@on_databases
def test_many_calls_are_part_of_the_transaction(store: Store) -> None:
    with transaction.atomic(STORE):
        add.enqueue_many([(i,) for i in range(20)])
        transaction.set_rollback(True, using=STORE)
    assert dict(store.storage.stats().ready) == {}
    with transaction.atomic(STORE):
        add.enqueue_many([(i,) for i in range(20)])
    assert dict(store.storage.stats().ready) == {"default": 20}


def test_texts_that_need_escaping_come_back(store: Store) -> None:
    queue = "a\tb\\n\nc\\.ü"
    results = add.using(queue_name=queue).enqueue_many([("\\N",), ("\t\\",), ("",)])
    jobs = {job.id: job for job in store.storage.get_results([result.id for result in results])}
    assert [jobs[result.id].queue_name for result in results] == [queue] * 3
    assert [add.get_result(result.id).args for result in results] == [["\\N"], ["\t\\"], [""]]


@on_databases
def test_one_failing_row_leaves_none_stored(store: Store) -> None:
    """All in one statement, or in one transaction."""
    jobs = [store.backend.new_job(add, (i,), {}) for i in range(3)]
    store.storage.enqueue(jobs[:1])
    with pytest.raises(Exception, match=r"."):
        store.storage.enqueue([jobs[1], jobs[2], jobs[0]])
    assert {job.id for job in store.storage.get_results([job.id for job in jobs])} == {jobs[0].id}


@pytest.mark.parametrize("many", [False, True])
def test_enqueueing_does_not_block_the_event_loop(store: Store, many: bool) -> None:
    """Other coroutines go on while a server is asked."""

    async def both() -> int:
        turns = 0
        enqueueing = asyncio.ensure_future(
            add.aenqueue_many([(i,) for i in range(500)]) if many else add.aenqueue(1)
        )
        while not enqueueing.done():
            turns += 1
            await asyncio.sleep(0)
        await enqueueing
        return turns

    assert async_to_sync(both)() > 1
