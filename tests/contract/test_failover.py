"""A connection that lasts, to a server that takes no writes any more: another one is tried."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from mainspring.backends import mapping
from mainspring.exceptions import StoreUnavailable
from tests.contract.map_hands import Hands
from tests.contract.router import STORE
from tests.contract.stores import KINDS, Store, on_kinds
from tests.contract.tasks import add, fail, once

on_servers = on_kinds([kind for kind in KINDS if kind.server and kind.order == "lifo"])


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)


def fail_over() -> Any:
    """Have this thread's connection be as one to what is a standby now; return it."""
    connection = connections[STORE]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET default_transaction_read_only = on")
        else:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
    return connection.connection


WRITES: dict[str, Callable[[], Any]] = {
    "one": lambda: add.enqueue(1),
    "async": lambda: async_to_sync(add.aenqueue)(1),
    "many": lambda: add.enqueue_many([(n,) for n in range(600)]),
    "iterator": lambda: add.enqueue_many((n,) for n in range(600)),
    "unique": lambda: once.enqueue(1),
    "map": lambda: add.map(range(100)),
}


@on_servers
@pytest.mark.parametrize("way", WRITES)
def test_enqueueing_goes_on_after_a_failover(store: Store, way: str) -> None:
    raw = fail_over()
    WRITES[way]()
    assert connections[STORE].connection is not raw
    ready = store.storage.stats().ready["default"]
    assert ready == len(store.storage.claim(Hands(store).worker, ["*"], 1000)) > 0


@on_servers
def test_other_verbs_go_on_as_well(store: Store) -> None:
    result, mapped = add.enqueue(1), fail.map(["no"])
    fail_over()
    assert result.cancel()
    Hands(store).run_all()
    fail_over()
    assert mapped.retry_failed() == 1
    fail_over()
    assert mapped.cancel() == 1
    for write in (
        lambda: store.storage.pause("mail"),
        lambda: store.storage.resume("mail"),
        lambda: store.storage.pause_schedule("nightly"),
        lambda: store.storage.resume_schedule("nightly"),
    ):
        fail_over()
        assert write()


@on_servers
def test_a_transaction_is_told_and_the_next_one_goes_on(store: Store) -> None:
    raw = fail_over()
    with pytest.raises(StoreUnavailable, match="is read-only"), transaction.atomic(STORE):
        add.enqueue(1)
    with transaction.atomic(STORE):
        result = add.enqueue(2)
    assert connections[STORE].connection is not raw
    assert result.refresh().args == [2]


@on_servers
def test_a_transaction_that_goes_on_is_let_go_at_the_end_of_the_request(store: Store) -> None:
    raw = fail_over()
    connection = connections[STORE]
    with transaction.atomic(STORE):
        with suppress(StoreUnavailable), transaction.atomic(STORE), transaction.atomic(STORE):
            add.enqueue(1)
        with connection.cursor() as cursor:  # whoever reads may go on
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
    assert connection.connection is raw
    connection.close_if_unusable_or_obsolete()  # as Django does after each request
    assert connection.connection is None


@on_servers
def test_where_nothing_else_is_there_it_is_told(store: Store) -> None:
    connection = connections[STORE]
    options = connection.settings_dict["OPTIONS"]
    read_only = (
        {"options": "-c default_transaction_read_only=on"}
        if connection.vendor == "postgresql"
        else {"init_command": "SET SESSION TRANSACTION READ ONLY"}
    )
    connection.settings_dict["OPTIONS"] = {**options, **read_only}
    connection.close()
    try:
        for write in WRITES.values():
            with pytest.raises(StoreUnavailable, match=r"is read-only, as a (standby|replica) is"):
                write()
    finally:
        connection.settings_dict["OPTIONS"] = options
        connection.close()
    assert store.storage.stats().ready == {}
