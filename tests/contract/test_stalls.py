"""Waits that cannot end are refused, and those that may not end are told in the log."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from mainspring.backends import mapping, stalls
from mainspring.backends.stalls import Slot
from mainspring.core import clock
from tests.contract.jobs import ALL, job, registered, succeeded
from tests.contract.map_hands import Hands
from tests.contract.router import STORE
from tests.contract.stores import KINDS, Kind, Store, Stores, on_databases, on_kinds, with_processes
from tests.contract.tasks import add, fail

Refused = transaction.TransactionManagementError
LONG = 20.0

on_servers = on_kinds(
    [kind for kind in KINDS if kind.server in ("postgresql", "mariadb") and kind.order == "lifo"]
)


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)
    yield
    stalls._told_stores.clear()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait long for what the log says."""
    monkeypatch.setattr(stalls, "_FIRST_LOOK", 0.02)
    monkeypatch.setattr(stalls, "_NEXT_LOOK", 0.02)
    monkeypatch.setattr(stalls, "_PATIENCE", 0.0)


def refused(wait: Callable[[], Any], match: str) -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match=match):
        wait()
    assert time.monotonic() - began < LONG / 2


NEW = (
    "cannot be waited for in this transaction on the database 'store': "
    "(it was enqueued|the transaction reads)"
)


@on_databases
def test_what_the_transaction_has_enqueued_is_not_waited_for(store: Store) -> None:
    with transaction.atomic(STORE):
        result = add.enqueue(1)
        refused(result.wait, f"^Result {result.id} {NEW}")
        refused(lambda: result.wait(LONG), NEW)
        refused(lambda: async_to_sync(result.await_result)(LONG), NEW)
        with pytest.raises(TimeoutError):  # asks without waiting
            result.wait(0)
        assert not result.refresh().is_finished  # the transaction goes on
    assert [one.id for one in store.storage.claim(registered(store.storage), ALL, 10)] == [
        result.id
    ]


@on_databases
def test_a_map_of_the_transaction_is_not_waited_for(store: Store) -> None:
    with transaction.atomic(STORE):
        mapped = add.map(range(10))
        refused(mapped.wait, f"^Map {mapped.id} {NEW}")
        refused(lambda: async_to_sync(mapped.await_result)(LONG), NEW)
        refused(mapped[3].wait, f"^Result {mapped.id}:3 {NEW}")
        refused(lambda: list(mapped.values()), f"^Call {mapped.id}:0 {NEW}")
        refused(lambda: list(mapped), NEW)
        refused(lambda: async_to_sync(drained)(mapped), NEW)


async def drained(mapped: Any) -> list[Any]:
    return [result async for result in mapped]


@on_databases
def test_what_the_transaction_has_changed_is_not_waited_for(store: Store) -> None:
    mapped = fail.map(["no"])
    hands = Hands(store)
    hands.run_all()
    assert mapped.progress.failed == 1
    with transaction.atomic(STORE):
        assert mapped.retry_failed() == 1
        refused(mapped.wait, "in this transaction .*: (it was changed|the transaction reads)")


@on_databases
def test_what_has_finished_is_there_in_a_transaction(store: Store) -> None:
    result, mapped = add.enqueue(1), add.map(range(3))
    Hands(store).run_all()
    with transaction.atomic(STORE):
        assert result.wait().return_value == 1
        assert async_to_sync(result.await_result)().return_value == 1
        mapped.wait()
        assert list(mapped.values()) == [0, 1, 2]


@on_servers
def test_a_transaction_that_sees_others_may_wait(store: Store) -> None:
    result = add.enqueue(1)
    (claimed,) = store.storage.claim(worker := registered(store.storage), ALL, 10)
    is_looking = threading.Event()
    with transaction.atomic(STORE), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stalls.Stall, "known", told_by(is_looking))
        ended = store.in_thread(
            lambda: (
                is_looking.wait(LONG) and store.storage.settle(worker, [succeeded(claimed, worker)])
            )
        )
        assert result.wait(LONG).is_finished
        assert ended.result(LONG) == []


def told_by(event: threading.Event) -> Any:
    known = stalls.Stall.known

    def tell(stall: stalls.Stall) -> Any:
        event.set()
        return known(stall)

    return tell


@on_servers
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_is_not_waited_in(store: Store, level: str) -> None:
    result = add.enqueue(1)
    connection = connections[STORE]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
        else:
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    try:
        with transaction.atomic(STORE):
            refused(result.wait, "the transaction reads from a snapshot")
    finally:
        connection.close()


@with_processes
def test_no_worker_is_told_once(store: Store, soon: None, caplog: pytest.LogCaptureFixture) -> None:
    result, mapped = add.enqueue(1), add.map(range(3))
    with pytest.raises(TimeoutError):
        result.wait(0.5)
    (told,) = caplog.records
    assert (told.name, told.levelno) == ("mainspring", logging.WARNING)
    said = f"Result {result.id} is waited for, but no worker of database 'store'"
    assert told.getMessage().startswith(said)
    assert "none is registered" in told.getMessage()
    with pytest.raises(TimeoutError):
        mapped.wait(0.3)
    with pytest.raises(TimeoutError):
        async_to_sync(result.await_result)(0.3)
    assert len(caplog.records) == 1


@with_processes
@pytest.mark.parametrize("way", ["map", "values", "await", "await map"])
def test_every_wait_tells_it(
    store: Store, soon: None, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    mapped, result = add.map(range(3)), add.enqueue(1)
    ways: dict[str, Callable[[], Any]] = {
        "map": lambda: mapped.wait(0.5),
        "values": lambda: list(mapped.values(0.5)),
        "await": lambda: async_to_sync(result.await_result)(0.5),
        "await map": lambda: async_to_sync(mapped.await_result)(0.5),
    }
    with pytest.raises(TimeoutError):
        ways[way]()
    assert len(caplog.records) == 1
    assert "no worker of" in caplog.text


@with_processes
def test_silent_workers_are_told_of_and_live_ones_are_not(
    stores: Stores,
    kind: Kind,
    tmp_path: Any,
    soon: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with stores.open(kind, tmp_path, LEASE=1) as store:
        worker = registered(store.storage, clock.now())
        result = add.enqueue(1)
        done = threading.Event()

        def renew() -> None:
            while not done.wait(0.05):
                store.storage.heartbeat(worker, clock.now())

        beating = store.in_thread(renew)
        with pytest.raises(TimeoutError):
            result.wait(1.5)
        assert caplog.records == []
        done.set()
        beating.result(LONG)
        with pytest.raises(TimeoutError):
            result.wait(2)
        (told,) = caplog.records
        assert "none of the 1 registered has renewed its lease for" in told.getMessage()


def test_tasks_that_wait_in_all_slots_are_named(
    store: Store, soon: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one lane; tests/integration has real ones."""
    store.storage.heartbeat(registered(store.storage), clock.now())
    lane, parents = threading.Event(), [job(task_path=f"app.parent{i}") for i in range(2)]
    slots = iter([Slot(lane, 2, parents[0]), Slot(lane, 2, parents[1])])
    monkeypatch.setattr(stalls, "_find_slot", lambda: next(slots, None))
    children = [add.enqueue(1), add.enqueue(2)]
    first = stalls.Stall(store.storage, stalls.awaited_result(children[0].id))
    with first.known():
        first.check()
        first._look_for_slots()
        assert "slots" not in caplog.text
        with pytest.raises(TimeoutError):
            children[1].wait(0.5)
        told = [record for record in caplog.records if "slots" in record.getMessage()]
        assert len(told) == 1
        for parent, child in zip(parents, children, strict=True):
            text = f"{parent.task_path} id={parent.id} for Result {child.id}"
            assert text in told[0].getMessage()
        assert told[0].task_ids == sorted(parent.id for parent in parents)  # type: ignore[attr-defined]
    assert dict(stalls._parents[lane]) == {}


def test_what_runs_already_is_waited_for_in_silence(
    store: Store, soon: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.storage.heartbeat(registered(store.storage), clock.now())
    lane = threading.Event()
    monkeypatch.setattr(stalls, "_find_slot", lambda: Slot(lane, 1, job()))
    result, mapped = add.enqueue(1), add.map(range(3))
    store.storage.claim(registered(store.storage), ALL, 10)
    with pytest.raises(TimeoutError):
        result.wait(0.3)
    with pytest.raises(TimeoutError):
        mapped.wait(0.3)
    assert "slots" not in caplog.text
