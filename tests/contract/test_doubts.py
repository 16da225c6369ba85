"""Claims whose answers are lost: what they took is given back, whatever happens in between."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mainspring.backends.database import worker_verbs
from mainspring.core.jobs import State
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.board import NoBoard
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.worker import Worker
from tests.contract.jobs import ALL, START, enqueued, ids, registered, state_of
from tests.contract.jobs import worker as new_worker
from tests.contract.stores import Store, on_databases

HOUR = 3600.0


@contextmanager
def answers_lost(store: Store) -> Iterator[None]:
    """Have the storage's exchanges done, and their answers lost."""
    dialect = store.storage._dialect  # type: ignore[attr-defined]
    exchange = dialect.exchange

    def do_and_lose(*args: Any) -> Any:
        exchange(*args)
        raise StoreUnavailable("the answer was lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "exchange", do_and_lose)
        yield


@contextmanager
def store_down(store: Store) -> Iterator[None]:
    """Have nothing but exchanges reach the store, and these not be answered."""

    @contextmanager
    def fail() -> Iterator[Any]:
        raise StoreUnavailable("down")
        yield

    with answers_lost(store), pytest.MonkeyPatch.context() as patch:
        for name in ("_reading", "_writing"):
            patch.setattr(store.storage, name, fail)
        yield


class Stopwatch:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """The stopwatch of the verbs, which a test can put forward."""
    one = Stopwatch()
    monkeypatch.setattr(worker_verbs, "time", one)
    return one


@on_databases
def test_an_outage_longer_than_the_lease_leaves_nothing_running(
    store: Store, stopwatch: Stopwatch
) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = enqueued(storage, *range(4))
    with store_down(store):
        with pytest.raises(StoreUnavailable):
            storage.claim(worker, ALL, 3)
        stopwatch.ahead = HOUR
        with pytest.raises(StoreUnavailable):
            storage.claim(worker, ALL, 3)
    assert State.RUNNING in {state_of(storage, one.id) for one in jobs}
    assert sorted(ids(storage.claim(worker, ALL, 10))) == sorted(ids(jobs))


@on_databases
def test_a_claim_that_is_made_long_after_its_connection_broke_is_found(
    store: Store, stopwatch: Stopwatch
) -> None:
    storage, worker = store.storage, registered(store.storage)
    dialect = storage._dialect  # type: ignore[attr-defined]
    exchange, late = dialect.exchange, list[Any]()

    def send(*args: Any) -> Any:
        late.append(args)
        raise StoreUnavailable("the connection broke")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "exchange", send)
        with pytest.raises(StoreUnavailable):
            storage.claim(worker, ALL, 3)
    assert storage.claim(worker, ALL, 3) == []
    jobs = enqueued(storage, *range(3))
    (request,) = late
    stopwatch.ahead = HOUR
    exchange(*request)
    assert {state_of(storage, one.id) for one in jobs} == {State.RUNNING}
    stopwatch.ahead = 2 * HOUR
    assert sorted(ids(storage.claim(worker, ALL, 3))) == sorted(ids(jobs))


@on_databases
def test_the_keeper_gives_it_back_while_a_long_task_runs(store: Store) -> None:
    """As when the next jobs are claimed ahead, and the last of those before takes hours."""
    storage = store.storage
    one = Worker(store.backend, new_worker(), WorkerOptions(processes=1), NoBoard())
    one._register()
    jobs = enqueued(storage, *range(3))
    with answers_lost(store), pytest.raises(StoreUnavailable):
        one.claim_ahead()
    assert State.RUNNING in {state_of(storage, job.id) for job in jobs}
    one.keeper._tick(START)
    assert {state_of(storage, job.id) for job in jobs} == {State.READY}


@on_databases
def test_a_worker_that_retires_gives_it_back(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = enqueued(storage, *range(3))
    with answers_lost(store), pytest.raises(StoreUnavailable):
        storage.claim(worker, ALL, 2)
    storage.retire(worker)
    assert {state_of(storage, one.id) for one in jobs} == {State.READY}
    assert storage._doubts.due(worker) == []  # type: ignore[attr-defined]
