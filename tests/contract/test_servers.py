"""What only a database on a server can do to its users: drop connections, lose answers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connections, transaction
from django.tasks import TaskResultStatus
from django.tasks.exceptions import InvalidTaskBackend

from mainspring.backends.database import vendors
from mainspring.backends.database.models import StoredJob
from mainspring.backends.database.stretches import EVERYTHING
from mainspring.backends.database.vendors.mysql import dialect
from mainspring.backends.database.vendors.postgresql import session
from mainspring.backends.database.vendors.postgresql.vacuum import Vacuum
from mainspring.core.jobs import NEW_COLUMNS, State
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.isolation import tidy_connections
from tests.contract.jobs import (
    ALL,
    START,
    died,
    enqueued,
    ids,
    job,
    registered,
    state_of,
    succeeded,
)
from tests.contract.router import STORE
from tests.contract.stores import KINDS, ONE_ORDER, Store, on_kinds
from tests.contract.tasks import add

LONG = 10.0  # seconds

on_servers = on_kinds([kind for kind in ONE_ORDER if kind.server])
on_postgresql = on_kinds([kind for kind in KINDS if (kind.server or "").startswith("postgresql")])


def drop_connections(store: Store) -> None:
    """Have the server end all connections to the store's database but one of our own."""
    connection = connections[STORE].copy()
    connection.inc_thread_sharing()
    mine = "pg_backend_pid()" if connection.vendor == "postgresql" else "connection_id()"
    listed = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        if connection.vendor == "postgresql"
        else "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> "
    )
    end = "SELECT pg_terminate_backend(%s)" if connection.vendor == "postgresql" else "KILL %s"
    try:
        with connection.cursor() as cursor:
            cursor.execute(listed + mine)
            dropped = set(cursor.fetchall())
            for (one,) in dropped:
                cursor.execute(end, (one,))
            deadline = time.monotonic() + LONG
            while dropped:
                cursor.execute(listed + mine)
                dropped &= set(cursor.fetchall())
                assert time.monotonic() < deadline
    finally:
        connection.close()


@contextmanager
def answers_lost(store: Store) -> Iterator[None]:
    """Have the storage's exchanges done, and their answers lost."""
    dialect = store.storage._dialect  # type: ignore[attr-defined]
    exchange = dialect.exchange

    def do_and_lose(*args: Any) -> Any:
        exchange(*args)
        raise StoreUnavailable("the answer was lost")

    dialect.exchange = do_and_lose
    try:
        yield
    finally:
        dialect.exchange = exchange


@on_servers
def test_enqueueing_survives_a_connection_that_died_idle(store: Store) -> None:
    first = add.enqueue(1)
    drop_connections(store)
    second = add.enqueue(2)
    assert ids(store.storage.get_results([first.id, second.id]))
    assert dict(store.storage.stats().ready) == {"default": 2}


@on_servers
def test_many_calls_survive_a_connection_that_died_idle(store: Store) -> None:
    add.enqueue(1)
    drop_connections(store)
    results = add.enqueue_many([(i,) for i in range(30)])
    assert len(store.storage.get_results([one.id for one in results])) == 30
    assert dict(store.storage.stats().ready) == {"default": 31}


@on_servers
def test_what_was_stored_without_an_answer_is_not_stored_twice(store: Store) -> None:
    """The connection dies between the commit and its answer; in the meantime, the job has run."""
    storage = store.storage
    new = job()
    worker = registered(storage)
    storage.enqueue([new])
    (taken,) = storage.claim(worker, ALL, 1)
    assert storage.settle(worker, [succeeded(taken, worker)]) == []
    dialect = storage._dialect  # type: ignore[attr-defined]
    dialect.insert_again(connections[STORE], [new[:NEW_COLUMNS]])
    assert storage.get_results([new.id])[0].state == State.SUCCESSFUL
    assert dict(storage.stats().ready) == {}
    other = job(1)
    dialect.insert_again(connections[STORE], [new[:NEW_COLUMNS], other[:NEW_COLUMNS]])
    assert dict(storage.stats().ready) == {"default": 1}


@on_servers
def test_within_a_transaction_a_lost_connection_is_an_error(store: Store) -> None:
    def enqueue_two() -> None:
        with transaction.atomic(STORE):
            add.enqueue(1)
            drop_connections(store)
            add.enqueue(2)

    with pytest.raises(StoreUnavailable):
        enqueue_two()
    add.enqueue(3)
    assert dict(store.storage.stats().ready) == {"default": 1}


@on_servers
def test_a_worker_gets_a_new_connection_for_one_that_died(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, *range(3))
    (taken,) = storage.claim(worker, ALL, 1)
    drop_connections(store)
    with pytest.raises(StoreUnavailable):
        storage.settle(worker, [succeeded(taken, worker)])
    assert storage.settle(worker, [succeeded(taken, worker)]) == []
    assert len(storage.claim(worker, ALL, 5)) == 2


@on_servers
def test_what_a_claim_took_whose_answer_was_lost_is_given_back(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = enqueued(storage, *range(4))
    (held,) = storage.claim(worker, ALL, 1)
    with answers_lost(store), pytest.raises(StoreUnavailable):
        storage.claim(worker, ALL, 3)
    assert {state_of(storage, one.id) for one in jobs} == {State.RUNNING}
    again = storage.claim(worker, ALL, 5)
    assert len(again) == 3
    assert held.id not in ids(again)
    assert storage.settle(worker, [succeeded(one, worker) for one in [held, *again]]) == []


@on_servers
def test_what_was_settled_without_an_answer_is_settled_again_without_a_loss(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, *range(3))
    jobs = storage.claim(worker, ALL, 2)
    outcomes = [succeeded(one, worker) for one in jobs]
    with answers_lost(store), pytest.raises(StoreUnavailable):
        storage.settle_and_claim(worker, outcomes, ALL, 5)
    lost, again = storage.settle_and_claim(worker, outcomes, ALL, 5)
    assert lost == []
    assert len(again) == 1


@on_servers
def test_a_waiting_caller_outlives_its_connection(store: Store) -> None:
    result = add.enqueue(1)
    waiting = store.in_thread(lambda: result.wait(LONG))
    drop_connections(store)
    with suppress(StoreUnavailable):
        store.storage.stage(START)
    worker = registered(store.storage)
    (taken,) = store.storage.claim(worker, ALL, 1)
    assert store.storage.settle(worker, [succeeded(taken, worker)]) == []
    assert waiting.result(LONG).status == TaskResultStatus.SUCCESSFUL
    assert result.refresh().status == TaskResultStatus.SUCCESSFUL


@on_servers
def test_names_that_differ_in_case_are_different(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, 0, queue_name="Mail")
    assert storage.claim(worker, ["mail"], 1) == []
    assert len(storage.claim(worker, ["Mail"], 1)) == 1


@on_servers
def test_the_migration_goes_back_and_forth(store: Store) -> None:
    try:
        call_command("migrate", "mainspring_database", "0001", database=STORE, verbosity=0)
    finally:
        call_command("migrate", "mainspring_database", database=STORE, verbosity=0)
    enqueued(store.storage, 0)
    assert dict(store.storage.stats().ready) == {"default": 1}


@on_servers
def test_the_checks_have_nothing_to_say(store: Store) -> None:
    found = checks.run_checks(databases=[STORE])
    assert [one for one in found if one.obj is StoredJob or "mainspring" in (one.id or "")] == []
    assert store.storage.check() == []  # type: ignore[attr-defined]


@on_postgresql
def test_a_caller_is_woken_and_hardly_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    result = add.enqueue(1)
    looks: list[float] = []
    get_result = type(store.backend).get_result

    def look(self: Any, result_id: Any) -> Any:
        looks.append(time.monotonic())
        return get_result(self, result_id)

    monkeypatch.setattr(type(store.backend), "get_result", look)
    waiting = store.in_thread(lambda: (result.wait(LONG), time.monotonic())[1])
    listener = store.storage._dialect._wakeup._listener  # type: ignore[attr-defined]
    deadline = time.monotonic() + LONG
    while not listener.is_live:
        assert time.monotonic() < deadline
    before = len(looks)
    worker = registered(store.storage)
    jobs = store.storage.claim(worker, ALL, 1)
    settled_at = time.monotonic()
    store.storage.settle(worker, [succeeded(one, worker) for one in jobs])
    assert waiting.result(LONG) - settled_at < 0.5
    assert len(looks) - before <= 3


@on_postgresql
def test_a_worker_vacuums_what_its_settled_jobs_have_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, worker = store.storage, registered(store.storage)
    own = storage._dialect  # type: ignore[attr-defined]
    monkeypatch.setattr(own, "_vacuum", Vacuum("default", own._skipping, dead=2, look_after=2))
    storage.vacuum()  # looks at once what there is
    assert not storage.may_need_vacuum()
    deadline = time.monotonic() + LONG
    was_due = False
    while not was_due:  # the server counts dead rows once a second
        enqueued(storage, *range(2))
        taken = storage.claim(worker, ALL, 2)
        storage.settle(worker, [succeeded(one, worker) for one in taken])
        assert storage.may_need_vacuum()
        was_due = storage.vacuum()
        assert not storage.may_need_vacuum()
        assert time.monotonic() < deadline
    with connections[STORE].cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_vacuum_count('mainspring_job_live'::regclass)")
        assert cursor.fetchone()[0] >= 1
    assert not storage.vacuum()


@on_postgresql
def test_a_burst_of_enqueues_notifies_seldom(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wakeup = store.storage._dialect._wakeup  # type: ignore[attr-defined]
    told: list[bool] = []
    may_notify = wakeup.may_notify
    monkeypatch.setattr(wakeup, "may_notify", lambda: told.append(may_notify()) or told[-1])
    began = time.monotonic()
    for i in range(100):
        add.enqueue(i)
    took = time.monotonic() - began
    assert 1 <= sum(told) <= took / 0.01 + 1


@on_postgresql
def test_what_was_not_notified_in_a_burst_is_found_soon(store: Store) -> None:
    """The worker is woken by the first and claims it before the second comes, unannounced."""
    storage, producer = store.storage, store.another_process()
    worker = registered(storage)
    while storage.claim(worker, ALL, 10):
        pass
    for _ in range(5):
        producer.enqueue([job()])
        assert storage.wait_for_work(LONG)
        storage.claim(worker, ALL, 10)
        producer.enqueue([job()])  # within the interval
        began = time.monotonic()
        while not storage.claim(worker, ALL, 10):
            assert storage.wait_for_work(LONG)
        assert time.monotonic() - began < 0.5


CLAIMS = {
    "claim_any_newest": "mainspring_job_ready_any",
    "claim_any_oldest": "mainspring_job_ready_any",
    "claim_any_longest": "mainspring_job_ready_any",
    "claim_named_newest": "mainspring_job_ready ",
    "claim_named_oldest": "mainspring_job_ready ",
    "claim_named_longest": "mainspring_job_ready ",
}


@on_postgresql
@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize("suffix", ["", "_in"])
def test_claims_read_their_index_whatever_the_statistics(
    store: Store, name: str, is_analyzed: bool, suffix: str
) -> None:
    storage = store.storage
    storage.enqueue([job(i) for i in range(50)])
    if is_analyzed:  # as if the table was nearly empty
        with connections[STORE].cursor() as cursor:
            cursor.execute("ANALYZE mainspring_job")
    storage.enqueue([job(i) for i in range(500)])
    with storage._reading() as cursor:  # type: ignore[attr-defined]
        sql = storage._dialect.sql(f"{name}{suffix}")  # type: ignore[attr-defined]
        everything = [[value] for value in EVERYTHING] if suffix else []
        cursor.execute(f"EXPLAIN (COSTS OFF) {sql}", (1, "default", ["default"], 10, *everything))
        plan = "\n".join(line for (line,) in cursor.fetchall()) + " "
    assert CLAIMS[name] in plan
    assert "Seq Scan" not in plan
    assert "mainspring_job_finished" not in plan


@on_postgresql
def test_a_settle_reads_the_live_partition_by_its_key(store: Store) -> None:
    """Also where the table was empty when it was last looked at, as a drained queue is."""
    storage, worker = store.storage, registered(store.storage)
    with connections[STORE].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE mainspring_job_live")
    enqueued(storage, *range(20))
    jobs = storage.claim(worker, ALL, 20)
    from mainspring.backends.database.vendors.postgresql.text import columns

    with storage._reading() as cursor:  # type: ignore[attr-defined]
        sql = storage._dialect.sql("settle")  # type: ignore[attr-defined]
        values = columns([succeeded(one, worker) for one in jobs])
        cursor.execute(f"EXPLAIN (COSTS OFF) {sql}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count("Index Scan using mainspring_job_live_pkey") == 1
    assert "Tid Scan on mainspring_job_live" in plan
    assert "Scan using mainspring_job_finished" not in plan


@on_postgresql
def test_finished_jobs_leave_the_live_partition(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, *range(10))
    jobs = storage.claim(worker, ALL, 6)
    storage.settle(worker, [succeeded(one, worker) for one in jobs])
    storage.cancel([one.id for one in enqueued(storage, 20)])
    with connections[STORE].cursor() as cursor:
        for table, number in (("live", 4), ("finished", 7)):
            cursor.execute(f"SELECT count(*) FROM mainspring_job_{table}")
            assert cursor.fetchone() == (number,)


@on_postgresql
def test_a_pool_of_connections_is_the_callers_affair(store: Store) -> None:
    """Workers have connections of their own; callers take theirs from Django's pool."""
    pooled = {**store.database, "OPTIONS": {"pool": {"min_size": 1, "max_size": 2}}}  # type: ignore[dict-item]
    from tests.contract.stores import database

    connections[STORE].close()
    with database(pooled, "pooled"):
        connection = connections["pooled"]
        own = store.storage._dialect.new_connection(connection)  # type: ignore[attr-defined]
        try:
            own.ensure_connection()
            assert own.pool is None
            assert connection.pool is not None
        finally:
            own.close()
            connection.close()
            connection.close_pool()


def test_oracle_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connections["default"]
    monkeypatch.setattr(type(connection), "vendor", "oracle")
    monkeypatch.setattr(type(connection), "display_name", "Oracle")
    with pytest.raises(InvalidTaskBackend, match=r"is Oracle, which.*DATABASE_ROUTERS"):
        vendors.dialect_of(connection)


@on_servers
@pytest.mark.parametrize("verb", ["stage", "rescue", "heartbeat", "prune", "release"])
def test_every_verb_of_a_worker_survives_a_dropped_connection(store: Store, verb: str) -> None:
    storage, worker = store.storage, registered(store.storage)
    verbs: dict[str, Callable[[], Any]] = {
        "stage": lambda: storage.stage(START),
        "rescue": lambda: storage.rescue(START),
        "heartbeat": lambda: storage.heartbeat(worker, START),
        "prune": lambda: storage.prune(START, 10),
        "release": lambda: storage.release(worker, []),
    }
    verbs[verb]()
    drop_connections(store)
    with suppress(StoreUnavailable):
        verbs[verb]()
    verbs[verb]()


@on_servers
def test_a_server_that_is_too_old_is_told_where_django_asks_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connections[STORE].vendor == "postgresql":
        from mainspring.backends.database.vendors.postgresql import dialect

        monkeypatch.setattr(dialect, "_OLDEST", 990000)
    else:
        from mainspring.backends.database.vendors.mysql import server

        monkeypatch.setattr(server, "_OLDEST", {"MariaDB": (99, 0), "MySQL": (99, 0)})
    (found,) = [one for one in checks.run_checks(databases=[STORE]) if one.id == "mainspring.E004"]
    assert "or later" in found.msg
    with pytest.raises(StoreUnavailable, match="or later"):
        store.another_process().heartbeat(registered(store.storage), START)


@on_postgresql
@pytest.mark.parametrize("is_local", [True, False])
def test_what_fails_as_it_commits_is_not_accepted(
    store: Store, is_local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mainspring.backends.database.vendors.postgresql import session

    monkeypatch.setattr(session, "is_local", lambda raw: is_local)
    wakeup = store.storage._dialect._wakeup  # type: ignore[attr-defined]
    monkeypatch.setattr(wakeup, "may_notify", lambda: True)
    store.storage._dialect._inserter._may_notify = lambda: True  # type: ignore[attr-defined]
    with connections[STORE].cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'refused'; END $$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON mainspring_job_live "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    try:
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="refused"):
                add.enqueue(1)
    finally:
        with connections[STORE].cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse ON mainspring_job_live")
    assert add.enqueue(2).refresh().args == [2]
    assert dict(store.storage.stats().ready) == {"default": 1}


@on_servers
def test_a_worker_that_stops_within_a_transaction_stops_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its process is frozen, or its machine is gone and nobody tells the server."""
    monkeypatch.setattr(session, "_IDLE", (("idle_in_transaction_session_timeout", "200ms"),))
    monkeypatch.setattr(dialect, "_TUNING", "SET SESSION idle_transaction_timeout = 1")
    storage, another = store.storage, store.another_process()
    frozen = registered(storage)
    with suppress(StoreUnavailable), storage._writing() as cursor:  # type: ignore[attr-defined]
        lease = (frozen.token, START, START)
        cursor.execute(storage._dialect.sql("renew_lease"), lease)  # type: ignore[attr-defined]
        assert store.in_thread(lambda: another.rescue(START, [died(frozen)])).result(2 * LONG) == []


@on_postgresql
def test_a_worker_notices_a_network_that_swallows_everything(store: Store) -> None:
    """Unless the project's settings have it otherwise."""
    connections[STORE].settings_dict["OPTIONS"]["keepalives_idle"] = 33
    with store.storage._own_connection() as connection:  # type: ignore[attr-defined]
        connection.ensure_connection()
        parameters = connection.connection.info.get_parameters()
    assert parameters["tcp_user_timeout"] == "25000"
    assert parameters["keepalives_idle"] == "33"


@on_servers
def test_what_a_task_left_open_on_a_connection_that_is_gone_is_given_up(store: Store) -> None:
    connection = connections[STORE]
    transaction.atomic(STORE).__enter__()
    assert store.storage.stats().running == 0  # so that it is connected
    drop_connections(store)
    tidy_connections()
    assert not connection.in_atomic_block
    (new,) = enqueued(store.storage, 0)
    assert state_of(store.storage, new.id) == State.READY
