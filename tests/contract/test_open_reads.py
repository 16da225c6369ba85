"""SQLite: a caller that has not read a result to its end enqueues and reads all the same."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from mainspring.backends import mapping, stalls
from mainspring.backends.database.models import StoredJob
from mainspring.core.jobs import State
from mainspring.exceptions import StoreUnavailable
from tests.contract.jobs import ALL, registered, succeeded
from tests.contract.router import STORE
from tests.contract.stores import SQLITE, Store, on_databases, on_kinds
from tests.contract.tasks import add, echo, once

on_sqlite = on_kinds([SQLITE])
LONG = 20.0


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)


@pytest.fixture
def reading(store: Store) -> Iterator[Iterator[Any]]:
    """An iterator that is not at its end, while somebody else has written."""
    known = [add.enqueue(number) for number in range(3)]
    reading = StoredJob.objects.using(STORE).values_list("pk").iterator(chunk_size=1)
    assert next(reading)[0] in {result.id for result in known}
    elsewhere(store, lambda: add.enqueue(100))
    yield reading
    assert len(list(reading)) in (0, 2)  # it goes on as it was


def elsewhere(store: Store, call: Callable[[], Any]) -> Any:
    return store.in_thread(call).result(LONG)


def quickly(call: Callable[[], Any]) -> Any:
    began = time.process_time()
    answer = call()
    assert time.process_time() - began < 2
    return answer


ENQUEUED: dict[str, Callable[[], Any]] = {
    "one": lambda: [add.enqueue(1)],
    "async": lambda: [async_to_sync(add.aenqueue)(1)],
    "on commit": lambda: [add.enqueue_on_commit(1, using=STORE)],
    "many": lambda: list(add.enqueue_many([(n,) for n in range(600)])),
    "iterator": lambda: list(add.enqueue_many((n,) for n in range(600))),
    "unique": lambda: [once.enqueue(1), once.enqueue(2)],
}


@on_sqlite
@pytest.mark.parametrize("way", ENQUEUED)
def test_enqueueing_beside_an_open_read(store: Store, reading: Any, way: str) -> None:
    results = quickly(ENQUEUED[way])
    assert [store.backend.get_result(one.id).id for one in results] == [one.id for one in results]
    assert elsewhere(store, lambda: len(store.storage.get_results([results[-1].id]))) == 1
    again = add.enqueue(7)
    elsewhere(store, again.cancel)
    assert again.refresh().is_finished


@on_sqlite
def test_each_of_what_is_read_is_enqueued(store: Store) -> None:
    first = [add.enqueue(number) for number in range(50)]
    enqueued = []
    for (pk,) in StoredJob.objects.using(STORE).values_list("pk").iterator(chunk_size=1):
        elsewhere(store, lambda: store.storage.claim(registered(store.storage), ALL, 1))
        enqueued.append(echo.enqueue(pk))
    assert {result.args[0] for result in enqueued} == {result.id for result in first}
    assert StoredJob.objects.using(STORE).count() == 100


@on_sqlite
def test_a_map_of_what_is_read(store: Store) -> None:
    results = [add.enqueue(number) for number in range(5)]

    def read() -> Iterator[str]:
        for (pk,) in StoredJob.objects.using(STORE).values_list("pk").iterator(chunk_size=1):
            elsewhere(store, lambda: add.enqueue(1))
            yield pk

    mapped = quickly(lambda: echo.map(read()))
    assert mapped.total == len(results)
    assert {result.args[0] for result in mapped_results(mapped)} == {one.id for one in results}


def mapped_results(mapped: Any) -> list[Any]:
    return [mapped[index] for index in range(mapped.total)]


@on_sqlite
def test_maps_and_their_verbs_beside_an_open_read(store: Store, reading: Any) -> None:
    mapped = quickly(lambda: echo.map(range(10)))
    assert mapped.progress.stored == 10
    assert mapped[3].args == [3]
    assert quickly(mapped.cancel) == 10
    assert quickly(mapped.retry_failed) == 10
    assert mapped.progress.done == 0


@on_sqlite
def test_cancelling_and_pausing_beside_an_open_read(store: Store, reading: Any) -> None:
    result = elsewhere(store, lambda: add.enqueue(1))
    assert quickly(result.cancel)
    assert quickly(lambda: store.storage.pause("mail"))
    assert store.storage.stats().paused == ["mail"]
    assert quickly(lambda: store.storage.resume("mail"))
    assert quickly(lambda: store.storage.pause_schedule("nightly"))
    assert elsewhere(store, lambda: store.storage.get_results([result.id]))[0].state == (
        State.CANCELLED
    )


@on_sqlite
def test_waiting_beside_an_open_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "_FIRST_LOOK", 0.1)
    monkeypatch.setattr(stalls, "_NEXT_LOOK", 0.1)
    result, _ = add.enqueue(1), add.enqueue(2)
    reading = StoredJob.objects.using(STORE).values_list("pk").iterator(chunk_size=1)
    next(reading)

    def work() -> None:
        worker = registered(store.storage)
        jobs = store.storage.claim(worker, ALL, 10)
        assert store.storage.settle(worker, [succeeded(job, worker) for job in jobs]) == []

    elsewhere(store, work)
    assert result.wait(LONG).is_finished
    assert result.refresh().is_finished
    assert len(list(reading)) == 1


@on_sqlite
def test_the_callers_own_connection_is_used_again(store: Store, reading: Any) -> None:
    add.enqueue(1)
    dialect: Any = store.storage._dialect  # type: ignore[attr-defined]
    assert dialect.behind
    raw = connections[STORE].connection
    assert len(list(reading)) == 2
    add.enqueue(2)
    assert not dialect.behind
    assert connections[STORE].connection is raw


@on_sqlite
def test_a_transaction_that_read_first_is_told_why(store: Store) -> None:
    add.enqueue(1)

    @transaction.atomic(STORE)
    def read_and_enqueue() -> None:
        assert StoredJob.objects.using(STORE).count() == 1
        elsewhere(store, lambda: add.enqueue(100))
        add.enqueue(2)

    with pytest.raises(StoreUnavailable, match='"transaction_mode": "IMMEDIATE"'):
        quickly(read_and_enqueue)
    assert add.enqueue(3).refresh().args == [3]


@on_databases
def test_an_open_read_is_nothing_to_other_databases(store: Store) -> None:
    for number in range(3):
        add.enqueue(number)
    reading = StoredJob.objects.using(STORE).values_list("pk").iterator(chunk_size=1)
    next(reading)
    result = add.enqueue(1)
    assert result.refresh() == result
    assert len(list(reading)) >= 2
