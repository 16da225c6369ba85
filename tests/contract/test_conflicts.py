"""Conflicts: those of the caller's own transaction reach the caller, those of a claim nobody."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connections, transaction
from psycopg.errors import SerializationFailure

from mainspring.backends import mapping
from mainspring.backends.database.models import StoredJob
from mainspring.backends.database.vendors.postgresql.dialect import PostgresDialect
from mainspring.backends.database.vendors.postgresql.exchange import Exchange
from tests.contract.jobs import ALL, enqueued, registered, succeeded
from tests.contract.map_hands import Hands
from tests.contract.router import STORE
from tests.contract.stores import KINDS, Store, on_kinds
from tests.contract.tasks import add, fail, once

on_postgresql = on_kinds([kind for kind in KINDS if kind.name == "postgresql-lifo"])
on_mariadb = on_kinds([kind for kind in KINDS if kind.name == "mariadb-lifo"])
LONG = 20.0


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)


@pytest.fixture(params=["REPEATABLE READ", "SERIALIZABLE"])
def isolated(store: Store, request: pytest.FixtureRequest) -> Iterator[None]:
    """The caller's transactions keep a snapshot."""
    connection = connections[STORE]
    with connection.cursor() as cursor:
        level = f"ISOLATION LEVEL {request.param}"
        if connection.vendor == "postgresql":
            cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION {level}")
        else:
            cursor.execute(f"SET SESSION TRANSACTION {level}")
            cursor.execute("SET SESSION innodb_snapshot_isolation = ON")
    yield
    connection.close()


def elsewhere(store: Store, call: Callable[[], Any]) -> Any:
    return store.in_thread(call).result(LONG)


def see() -> None:
    """Take the transaction's snapshot."""
    assert StoredJob.objects.using(STORE).exists()


@on_postgresql
def test_cancelling_what_has_changed(
    store: Store, isolated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = add.enqueue(1)
    tries: list[str] = []
    cancel = PostgresDialect.cancel

    def count(self: Any, cursor: Any, job_id: str, now: int) -> Any:
        tries.append(job_id)
        return cancel(self, cursor, job_id, now)

    monkeypatch.setattr(PostgresDialect, "cancel", count)

    @transaction.atomic(STORE)
    def see_and_cancel() -> None:
        see()
        elsewhere(store, lambda: store.storage.claim(registered(store.storage), ALL, 1))
        result.cancel()

    with pytest.raises(OperationalError) as raised:
        see_and_cancel()
    assert isinstance(raised.value.__cause__, SerializationFailure)
    assert tries == [result.id]
    assert result.cancel()  # in a transaction of its own


@on_postgresql
def test_enqueueing_what_another_one_has_enqueued(store: Store, isolated: None) -> None:
    add.enqueue(1)

    @transaction.atomic(STORE)
    def see_and_enqueue() -> Any:
        see()
        elsewhere(store, lambda: once.enqueue(1))
        return once.enqueue(1)

    with pytest.raises(OperationalError) as raised:
        see_and_enqueue()
    assert isinstance(raised.value.__cause__, SerializationFailure)
    assert once.enqueue(1).refresh().args == [1]


@on_postgresql
def test_an_equal_that_has_started_meanwhile(store: Store, isolated: None) -> None:
    once.enqueue(1)

    @transaction.atomic(STORE)
    def see_and_enqueue() -> Any:
        see()
        elsewhere(store, lambda: store.storage.claim(registered(store.storage), ALL, 1))
        return once.enqueue(1)

    with pytest.raises(OperationalError) as raised:
        see_and_enqueue()
    assert isinstance(raised.value.__cause__, SerializationFailure)


@on_postgresql
def test_running_a_map_again_that_has_changed(store: Store, isolated: None) -> None:
    mapped = fail.map(["no"])
    Hands(store).run_all()

    @transaction.atomic(STORE)
    def see_and_retry() -> None:
        see()
        elsewhere(store, mapped.retry_failed)
        mapped.retry_failed()

    with pytest.raises(OperationalError) as raised:
        see_and_retry()
    assert isinstance(raised.value.__cause__, SerializationFailure)


@on_postgresql
def test_a_conflict_at_the_commit_is_the_callers(store: Store) -> None:
    connection = connections[STORE]
    first = add.enqueue(1)

    @transaction.atomic(STORE)
    def count_and_enqueue(in_between: Callable[[], Any]) -> None:
        with connections[STORE].cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        number = StoredJob.objects.using(STORE).count()
        in_between()
        add.enqueue(number)

    with pytest.raises(OperationalError) as raised:
        count_and_enqueue(lambda: elsewhere(store, lambda: count_and_enqueue(lambda: None)))
    assert isinstance(raised.value.__cause__, SerializationFailure)
    connection.close()
    assert first.refresh() == first


@on_postgresql
def test_outside_a_transaction_it_is_tried_again(store: Store, isolated: None) -> None:
    result = add.enqueue(1)
    for _ in range(20):
        add.enqueue(2)
        once.enqueue(3)
    assert result.cancel()


@on_postgresql
def test_at_read_committed_a_cancel_is_tried_again(store: Store) -> None:
    result = add.enqueue(1)
    with transaction.atomic(STORE):
        see()
        elsewhere(store, lambda: store.storage.claim(registered(store.storage), ALL, 1))
        assert result.cancel()
    assert result.refresh().is_finished


@on_mariadb
def test_on_mariadb_as_well(store: Store) -> None:
    connection = connections[STORE]
    with connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'")
        if not cursor.fetchall():
            pytest.skip("this MariaDB has no snapshot isolation")
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SET SESSION innodb_snapshot_isolation = ON")
    result = add.enqueue(1)
    worker = registered(store.storage)

    def work() -> None:
        jobs = store.storage.claim(worker, ALL, 1)
        store.storage.settle(worker, [succeeded(job, worker) for job in jobs])

    @transaction.atomic(STORE)
    def see_and_cancel() -> None:
        see()
        elsewhere(store, work)
        result.cancel()

    try:
        with pytest.raises(DatabaseError) as raised:
            see_and_cancel()
        assert raised.value.args[0] == 1020
    finally:
        connection.close()
    assert not result.cancel()


@on_postgresql
@pytest.mark.parametrize(("conflicts", "claimed"), [(1, ["mail", "other"]), (99, ["mail"])])
def test_a_conflict_in_the_midst_of_a_claim(
    store: Store, monkeypatch: pytest.MonkeyPatch, conflicts: int, claimed: list[str]
) -> None:
    """What the claim has taken before stays taken, and the rest is claimed as soon as possible."""
    claim, tries = Exchange._claim, list[None]()

    def collide(self: Exchange, *args: Any) -> None:
        tries.append(None)
        if 1 < len(tries) <= 1 + conflicts:
            raise SerializationFailure
        claim(self, *args)

    monkeypatch.setattr(Exchange, "_claim", collide)
    storage = store.storage
    worker = registered(storage)
    for name in ("mail", "other"):
        enqueued(storage, 1, queue_name=name)
    assert [job.queue_name for job in storage.claim(worker, ["mail", "*"], 10)] == claimed
    monkeypatch.undo()
    left = {"mail", "other"}.difference(claimed)
    assert {job.queue_name for job in storage.claim(worker, ["mail", "*"], 10)} == left
