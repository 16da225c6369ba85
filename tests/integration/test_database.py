"""DatabaseBackend in a project: transactions, routers, migrations, checks, names, forks."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import SynchronousOnlyOperation
from django.core.management import call_command
from django.db import connections, transaction
from django.tasks import default_task_backend
from django.tasks.exceptions import InvalidTaskBackend
from django.test import modify_settings, override_settings

from mainspring.backends.database.models import RegisteredWorker, StoredJob
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from tests.contract.jobs import (
    ALL,
    LEASE,
    START,
    claimed,
    deferred,
    died,
    enqueued,
    ids,
    job,
    registered,
    silent,
    succeeded,
    worker,
)
from tests.contract.router import STORE
from tests.contract.stores import SQLITE, Store, Stores, database, sqlite_settings
from tests.contract.tasks import add

TABLES = {"mainspring_job", "mainspring_worker"}
DATABASE_TASKS = {"default": {"BACKEND": SQLITE.backend, "QUEUES": []}}


def tables_in(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}


# Transactions


@pytest.fixture
def orders(store: Store) -> Any:
    """A table of the caller's own beside the queue: what executes a statement on it."""

    def execute(sql: str) -> list[Any]:
        with connections[STORE].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    return execute


def test_a_call_is_committed_with_the_callers_rows(store: Store, orders: Any) -> None:
    with transaction.atomic(STORE):
        orders("INSERT INTO orders VALUES (1)")
        result = add.enqueue(1)
    assert orders("SELECT id FROM orders") == [(1,)]
    assert ids(store.storage.claim(registered(store.storage), ALL, 10)) == [result.id]


def test_a_call_is_rolled_back_with_the_callers_rows(store: Store, orders: Any) -> None:
    with transaction.atomic(STORE):
        orders("INSERT INTO orders VALUES (1)")
        add.enqueue(1)
        transaction.set_rollback(True, using=STORE)
    assert orders("SELECT id FROM orders") == []
    assert store.storage.claim(registered(store.storage), ALL, 10) == []


def test_a_worker_wakes_on_the_commit_of_the_outermost_transaction(store: Store) -> None:
    worker, storage = registered(store.storage), store.storage
    while storage.claim(worker, ALL, 1):
        pass
    with transaction.atomic(STORE):
        with transaction.atomic(STORE):
            add.enqueue(1)
        assert not storage.wait_for_work(0)
    assert storage.wait_for_work(5)


def test_in_a_broken_transaction_the_error_is_djangos(store: Store) -> None:
    """It is the caller's transaction that cannot go on, and not the store."""
    with transaction.atomic(STORE):
        transaction.set_rollback(True, using=STORE)
        with pytest.raises(transaction.TransactionManagementError):
            add.enqueue(1)


def test_workers_verbs_take_no_part_in_the_callers_transaction(store: Store) -> None:
    storage = store.storage
    worker = registered(storage)
    (new,) = enqueued(storage, 0)
    with transaction.atomic(STORE):
        storage.get_results([new.id])  # a reader's snapshot
        (taken,) = storage.claim(worker, ALL, 1)
        storage.settle(worker, [succeeded(taken, worker)])
        transaction.set_rollback(True, using=STORE)
    assert storage.get_results([new.id])[0].state == State.SUCCESSFUL


# Routers and migrations


class SecondRouter:
    """Sends Mainspring's tables to a database that is neither the default nor the store."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "second" if model._meta.app_label == "mainspring_database" else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (db == "second") == (app_label == "mainspring_database")


def test_routers_decide_where_the_tables_live(stores: Stores, tmp_path: Path) -> None:
    first, second = tmp_path / "first.sqlite3", tmp_path / "second.sqlite3"
    with (
        database(sqlite_settings(first)),
        database(sqlite_settings(second), "second"),
        override_settings(DATABASE_ROUTERS=[SecondRouter()], TASKS=DATABASE_TASKS),
    ):
        call_command("migrate", database=STORE, verbosity=0)
        call_command("migrate", database="second", verbosity=0)
        assert not TABLES & tables_in(first)
        assert tables_in(second) > TABLES
        result = add.enqueue(1)
        storage = default_task_backend.storage
        assert ids(storage.claim(registered(storage), ALL, 10)) == [result.id]
        assert StoredJob.objects.using("second").count() == 1
        # Another database's transaction has no say in it.
        with transaction.atomic(STORE):
            kept = add.enqueue(1)
            transaction.set_rollback(True, using=STORE)
        assert kept.refresh() == kept


def test_a_change_of_routers_is_followed(store: Store, tmp_path: Path) -> None:
    add.enqueue(1)
    with (
        database(sqlite_settings(tmp_path / "second.sqlite3"), "second"),
        override_settings(DATABASE_ROUTERS=[SecondRouter()]),
    ):
        call_command("migrate", database="second", verbosity=0)
        assert store.storage.stats().ready == {}
    assert store.storage.stats().ready == {"default": 1}


def test_the_migrations_are_complete(stores: Stores) -> None:
    call_command("makemigrations", "mainspring_database", check=True, dry_run=True, verbosity=0)


def test_migrating_back_and_forth(store: Store) -> None:
    call_command("migrate", "mainspring_database", "zero", database=STORE, verbosity=0)
    assert not TABLES & set(connections[STORE].introspection.table_names())
    call_command("migrate", "mainspring_database", database=STORE, verbosity=0)
    add.enqueue(1)
    assert store.storage.stats().ready == {"default": 1}


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        ((mode,),) = connection.execute("PRAGMA journal_mode")
        return str(mode)


def test_the_write_ahead_log_is_on_after_migrate(stores: Stores) -> None:
    assert journal_mode(stores.template) == "wal"


def test_a_worker_turns_on_the_write_ahead_log_where_it_is_off(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    assert journal_mode(path) == "delete"
    registered(store.storage)
    assert journal_mode(path) == "wal"


def test_the_models_show_what_the_storage_stores(store: Store) -> None:
    """The ORM is for the admin and for people: it reads the rows that the statements write."""
    storage = store.storage
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0, priority=3, queue_name="mail")
    storage.settle(worker, [succeeded(taken, worker)])
    row = StoredJob.objects.get(pk=taken.id)
    assert (row.task_path, row.queue_name, row.priority) == (taken.task_path, "mail", 3)
    assert row.get_state_display() == "Successful"
    assert row.finished_at is not None
    assert (row.finished_at - row.enqueued_at).total_seconds() == 1
    assert RegisteredWorker.objects.get().worker_id == worker.id
    assert not StoredJob.objects.filter(enqueued_at__gt=row.finished_at).exists()


# Checks


def problems(**settings: Any) -> list[tuple[str | None, str]]:
    with override_settings(**settings):
        return [
            (one.id, one.msg)
            for one in run_checks()
            if one.id is not None and one.id.startswith("mainspring")
        ]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"OPTIONS": {"ORDERS": "lifo"}}, "unknown option 'ORDERS' (did you mean 'ORDER'?)"),
        ({"OPTIONS": {"ORDER": "random"}}, "['OPTIONS']['ORDER'] must be 'lifo' or 'fifo'"),
        ({"OPTIONS": {"LEASE": "30"}}, "['OPTIONS']['LEASE'] must be a timedelta"),
        ({"OPTIONS": {"MAX_PAYLOAD": 0}}, "['OPTIONS']['MAX_PAYLOAD'] must be a whole number"),
        ({"OPTIONS": []}, "['OPTIONS'] must be a dict"),
        ({"QUEUES": "default"}, "['QUEUES'] must be a list"),
        ({"QUEUE": ["default"]}, "unknown key 'QUEUE' (did you mean 'QUEUES'?)"),
    ],
)
def test_wrong_settings_are_told_by_check_and_at_the_first_enqueue(
    store: Store, entry: dict[str, Any], named: str
) -> None:
    tasks = {"default": {"BACKEND": SQLITE.backend, **entry}}
    ((problem, text),) = problems(TASKS=tasks)
    assert problem == "mainspring.E001"
    assert f"TASKS['default']{named}" in text or named in text
    with override_settings(TASKS=tasks), pytest.raises(InvalidTaskBackend) as error:
        add.enqueue(1)
    assert text in str(error.value)


def test_the_app_that_is_missing_is_told(store: Store) -> None:
    with modify_settings(INSTALLED_APPS={"remove": ["mainspring.backends.database"]}):
        ((problem, text),) = problems(TASKS=DATABASE_TASKS)
    assert problem == "mainspring.E002"
    assert "INSTALLED_APPS lacks 'mainspring.backends.database'" in text


def test_another_database_is_refused_by_check_and_at_the_first_enqueue(stores: Stores) -> None:
    with database({"ENGINE": "django.db.backends.dummy"}):
        ((problem, text),) = problems(TASKS=DATABASE_TASKS)
        assert problem == "mainspring.E003"
        assert "DATABASES['store'] is unknown, which DatabaseBackend does not support" in text
        assert "DATABASE_ROUTERS" in text
        with override_settings(TASKS=DATABASE_TASKS):
            with pytest.raises(InvalidTaskBackend, match="does not support"):
                add.enqueue(1)
            with pytest.raises(InvalidTaskBackend, match="does not support"):
                default_task_backend.storage.describe()


def test_right_settings_pass_the_checks(stores: Stores, tmp_path: Path) -> None:
    options = {"transaction_mode": "IMMEDIATE"}
    with database(sqlite_settings(tmp_path / "db.sqlite3", **options)):
        assert problems(TASKS=DATABASE_TASKS) == []


# Everyday life


def use_all_verbs(store: Store) -> None:
    storage, other = store.storage, store.another_process()
    worker, dead = registered(storage), registered(other)
    taken = claimed(storage, worker, *range(3))
    storage.release(worker, taken[:1])
    assert storage.settle(worker, [succeeded(one, worker) for one in taken]) == [taken[0].id]
    assert len(other.claim(dead, ["mail", "*"], 5)) == 1
    assert len(storage.rescue(START, [died(dead)])) == 1
    assert storage.cancel([taken[0].id]) == [taken[0].id]
    storage.enqueue([deferred(SECOND), deferred(2 * SECOND)])
    assert storage.stage(START + SECOND).staged == 1
    assert storage.stats().scheduled == 1
    assert storage.prune(START + 10 * SECOND, 10).deleted == 2
    assert [one.id for one in storage.get_results([taken[0].id])] == [taken[0].id]
    storage.retire(worker)


@override_settings(DEBUG=True)
def test_all_verbs_work_where_debug_logs_queries(store: Store) -> None:
    use_all_verbs(store)
    assert any("INSERT INTO mainspring_job" in one["sql"] for one in connections[STORE].queries)


@pytest.mark.parametrize("order", ["lifo", "fifo"])
def test_all_verbs_work_without_time_zones(stores: Stores, tmp_path: Path, order: str) -> None:
    with (
        override_settings(USE_TZ=False),
        stores.open(SQLITE, tmp_path, ORDER=order) as store,
    ):
        use_all_verbs(store)
        result = add.enqueue(1)
        assert result.enqueued_at.tzinfo is None
        assert tuple(result.refresh()) == tuple(result)


@pytest.mark.parametrize(
    "name",
    [
        "{folder}/with spaces and 'quotes'.sqlite3",
        "{folder}/what? 100 %25 #1.sqlite3",
        "{folder}/žluťoučký 🐎.sqlite3",
        "file:{folder}/in%20a%20URI.sqlite3",
        "file:{folder}/uri.sqlite3?mode=rwc&cache=private",
        "file://{folder}/uri.sqlite3",
        "file:{folder}/100%25.sqlite3#fragment",
    ],
)
def test_a_database_may_have_any_name(stores: Stores, tmp_path: Path, name: str) -> None:
    path = name.format(folder=tmp_path)
    with database(sqlite_settings(path)), override_settings(TASKS=DATABASE_TASKS):
        call_command("migrate", database=STORE, verbosity=0)
        producer = Store(SQLITE, DATABASE_TASKS, sqlite_settings(path))
        use_all_verbs(producer)
        woken = producer.storage
        worker = registered(woken)
        while woken.claim(worker, ALL, 10):
            pass
        producer.another_process().enqueue([job()])
        assert woken.wait_for_work(5)
        # The pipes lie beside the file, whatever SQLite calls it.
        (file,) = tmp_path.glob("*.sqlite3")
        assert Path(f"{file}-mainspring").is_dir()
        producer.close()


def test_all_ways_to_a_file_are_one_store(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    names = [
        tmp_path / "real/db.sqlite3",
        str(tmp_path / "real/../real/db.sqlite3"),
        tmp_path / "link/db.sqlite3",
        f"file:{tmp_path}/link/db.sqlite3?mode=rwc",
    ]
    identities = set()
    for name in names:
        with database(sqlite_settings(name)), override_settings(TASKS=DATABASE_TASKS):
            identities.add(default_task_backend.storage.identity)
    assert len(identities) == 1


def test_many_threads_use_one_storage_at_once(store: Store) -> None:
    storage = store.storage
    worker = registered(storage)
    new = enqueued(storage, *range(60))

    def claim_and_settle() -> list[str]:
        taken = []
        while jobs := storage.claim(worker, ALL, 3):
            assert storage.settle(worker, [succeeded(one, worker) for one in jobs]) == []
            taken += ids(jobs)
        return taken

    threads = [store.in_thread(claim_and_settle) for _ in range(4)]
    taken = [job_id for one in threads for job_id in one.result(20)]
    assert sorted(taken) == sorted(ids(new))


# Rescue


def test_what_an_unregistered_worker_holds_is_rescued_at_the_second_look(store: Store) -> None:
    storage, now = store.storage, START
    ghost = worker()
    (taken,) = claimed(storage, ghost, 0)
    assert storage.rescue(now) == []
    (rescued,) = storage.rescue(now)
    assert (rescued.job_id, rescued.state) == (taken.id, State.READY)
    assert storage.settle(ghost, [succeeded(taken, ghost)]) == [taken.id]


def test_an_unregistered_worker_that_registers_in_time_keeps_what_it_holds(store: Store) -> None:
    storage, now = store.storage, START
    revenant = worker()
    (taken,) = claimed(storage, revenant, 0)
    assert storage.rescue(now) == []
    storage.heartbeat(revenant, now)
    assert storage.rescue(now) == []
    assert storage.settle(revenant, [succeeded(taken, revenant)]) == []


def test_a_lease_that_is_renewed_during_the_look_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, now = store.storage, START
    late = registered(storage, START - 10 * LEASE)
    (taken,) = claimed(storage, late, 0)
    (lost,) = silent(storage, now)
    write = storage._dialect.write

    def renew_first(connection: Any) -> Any:
        monkeypatch.setattr(storage._dialect, "write", write)
        storage.heartbeat(late, now)
        return write(connection)

    monkeypatch.setattr(storage._dialect, "write", renew_first)
    assert storage.rescue(now, [lost]) == []
    assert storage.settle(late, [succeeded(taken, late)]) == []


# The short way of inserting


def test_an_enqueue_past_djangos_cursor_is_not_hidden_from_who_listens_to_it(store: Store) -> None:
    seen = []

    def listen(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connections[STORE].execute_wrapper(listen):
        enqueued(store.storage, 0)
    assert any("INSERT INTO mainspring_job" in sql for sql in seen)


def test_an_enqueue_in_an_event_loop_is_refused_as_django_does(store: Store) -> None:
    async def enqueue() -> None:
        enqueued(store.storage, 0)

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(enqueue())
