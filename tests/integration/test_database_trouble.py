"""A database that cannot be used: one clear line, and everything works again when it can be."""

import gc
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.test import override_settings

from mainspring.backends.database.vendors.sqlite import SQLiteDialect
from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, Worker
from mainspring.exceptions import StoreUnavailable
from tests.contract.jobs import (
    ALL,
    DAY,
    START,
    claimed,
    deferred,
    died,
    enqueued,
    finish,
    ids,
    job,
    registered,
    succeeded,
    worker,
)
from tests.contract.router import STORE
from tests.contract.stores import SQLITE, Store, Stores, database, sqlite_settings

TASKS = {"default": {"BACKEND": SQLITE.backend, "QUEUES": []}}

type Use = Callable[[Storage, Worker, Job, Job], object]

WRITES: dict[str, Use] = {
    "enqueue one": lambda storage, worker, ready, taken: storage.enqueue([job()]),
    "enqueue many": lambda storage, worker, ready, taken: storage.enqueue([job(), job()]),
    "claim": lambda storage, worker, ready, taken: storage.claim(worker, ALL, 1),
    "settle": lambda storage, worker, ready, taken: storage.settle(
        worker, [succeeded(taken, worker)]
    ),
    "release": lambda storage, worker, ready, taken: storage.release(worker, [taken]),
    "heartbeat": lambda storage, worker, ready, taken: storage.heartbeat(worker, START),
    "retire": lambda storage, worker, ready, taken: storage.retire(worker),
    "rescue": lambda storage, worker, ready, taken: storage.rescue(START, [died(worker)]),
    "stage": lambda storage, worker, ready, taken: storage.stage(START + DAY),
    "cancel": lambda storage, worker, ready, taken: storage.cancel([ready.id]),
    "prune": lambda storage, worker, ready, taken: storage.prune(START + DAY, 10),
}
READS: dict[str, Use] = {
    "get_results": lambda storage, worker, ready, taken: storage.get_results([ready.id]),
    "stats": lambda storage, worker, ready, taken: storage.stats(),
}


def complaint(call: Callable[[], object]) -> str:
    """Return what is said of the store, after checking that it is one line that names it."""
    with pytest.raises(StoreUnavailable) as error:
        call()
    text = str(error.value)
    assert text.startswith("The SQLite database 'store' ")
    assert "\n" not in text
    return text


@pytest.fixture
def used(store: Store, impatient: None) -> tuple[Storage, Worker, Job, Job]:
    """A store with a job in every state, ready to be used by any verb."""
    connections[STORE].close()
    connections[STORE].settings_dict["OPTIONS"]["timeout"] = 0.02
    storage = store.storage
    one = registered(storage)
    finish(storage, one, 0, finished_at=SECOND)
    (taken,) = claimed(storage, one, 1)
    storage.enqueue([deferred(SECOND)])
    (ready,) = enqueued(storage, 2)
    return storage, one, ready, taken


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(folder / "db.sqlite3", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


@pytest.mark.parametrize("verb", WRITES)
def test_writing_to_a_locked_database(
    used: tuple[Storage, Worker, Job, Job], tmp_path: Path, verb: str
) -> None:
    use = WRITES[verb]
    with locked(tmp_path):
        assert "is locked by another writer; close" in complaint(lambda: use(*used))
    use(*used)


@pytest.mark.parametrize("verb", READS)
def test_a_locked_database_can_be_read(
    used: tuple[Storage, Worker, Job, Job], tmp_path: Path, verb: str
) -> None:
    with locked(tmp_path):
        READS[verb](*used)


@pytest.mark.parametrize("number", [1, 2])
def test_an_enqueue_waits_for_other_writers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    connections[STORE].close()
    connections[STORE].settings_dict["OPTIONS"]["timeout"] = 0.0
    is_in_the_way, is_transient = threading.Event(), SQLiteDialect.is_transient

    def notice(self: SQLiteDialect, error: Exception) -> bool:
        is_in_the_way.set()
        return is_transient(self, error)

    monkeypatch.setattr(SQLiteDialect, "is_transient", notice)
    took_lock = threading.Event()

    def hold_the_lock() -> None:
        with locked(tmp_path):
            took_lock.set()
            assert is_in_the_way.wait(10)

    holding = store.in_thread(hold_the_lock)
    assert took_lock.wait(10)
    new = enqueued(store.storage, *range(number))
    holding.result(10)
    assert is_in_the_way.is_set()
    assert len(store.storage.get_results(ids(new))) == number


def set_pragma(store: Storage, pragma: str) -> None:
    """Change the caller's and the worker's connection; what is opened later is as ever."""
    for connection in (connections[STORE], store._own.get()):  # type: ignore[attr-defined]
        connection.ensure_connection()
        connection.connection.execute(f"PRAGMA {pragma}").fetchall()


@pytest.mark.parametrize("verb", WRITES)
def test_writing_to_a_read_only_database(used: tuple[Storage, Worker, Job, Job], verb: str) -> None:
    use = WRITES[verb]
    set_pragma(used[0], "query_only = 1")
    text = complaint(lambda: use(*used))
    assert "is read-only; let the worker's user write the file and its folder" in text
    connections[STORE].close()  # as Django does after each request
    use(*used)


def test_a_worker_opens_its_connection_anew_after_trouble(
    used: tuple[Storage, Worker, Job, Job],
) -> None:
    """A file that was opened while it was read-only stays so for that connection."""
    storage, one, _, _ = used
    set_pragma(storage, "query_only = 1")
    complaint(lambda: storage.heartbeat(one, START))
    assert storage.heartbeat(one, START)


def test_a_database_that_is_opened_read_only(stores: Stores, tmp_path: Path) -> None:
    shutil.copy(stores.template, tmp_path / "db.sqlite3")
    name = f"file:{tmp_path}/db.sqlite3?mode=ro"
    with database(sqlite_settings(name)), override_settings(TASKS=TASKS):
        storage = Store(SQLITE, TASKS, None).storage
        assert "is read-only" in complaint(lambda: storage.enqueue([job()]))
        assert "is read-only" in complaint(lambda: storage.heartbeat(worker(), START))
        assert storage.stats().running == 0


def test_a_full_disk(used: tuple[Storage, Worker, Job, Job]) -> None:
    storage, one, _, taken = used
    set_pragma(storage, "max_page_count = 1")  # means: as many as there are
    large = b'"' + b"x" * 10**6 + b'"'
    for call in (
        lambda: storage.enqueue([job(arguments=large)]),
        lambda: storage.settle(one, [succeeded(taken, one, value=large)]),
    ):
        text = complaint(call)
        assert "cannot grow, as the disk is full; free some space" in text
    connections[STORE].close()
    storage.enqueue([job(arguments=large)])
    assert storage.settle(one, [succeeded(taken, one, value=large)]) == []


@pytest.mark.parametrize("verb", [*WRITES, *READS])
def test_a_database_without_tables(used: tuple[Storage, Worker, Job, Job], verb: str) -> None:
    use = {**WRITES, **READS}[verb]
    call_command("migrate", "mainspring_database", "zero", database=STORE, verbosity=0)
    text = complaint(lambda: use(*used))
    assert "lacks Mainspring's tables; run 'manage.py migrate'" in text
    call_command("migrate", database=STORE, verbosity=0)
    use(*used)


@pytest.mark.parametrize("verb", [*WRITES, *READS])
def test_a_database_that_cannot_be_opened(stores: Stores, tmp_path: Path, verb: str) -> None:
    folder = tmp_path / "not there"
    with database(sqlite_settings(folder / "db.sqlite3")), override_settings(TASKS=TASKS):
        storage = Store(SQLITE, TASKS, None).storage
        one, ready = worker(), job()
        taken = ready._replace(claim=one.first_claim)

        def use() -> object:
            return {**WRITES, **READS}[verb](storage, one, ready, taken)

        assert "cannot be opened; check that the folder exists" in complaint(use)
        folder.mkdir()
        call_command("migrate", database=STORE, verbosity=0)
        use()


# Django itself leaves the connection open that it could not make; collected while it is allowed.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
@pytest.mark.parametrize("verb", ["enqueue one", "claim", "stats"])
def test_a_file_that_is_no_database(stores: Stores, tmp_path: Path, verb: str) -> None:
    path = tmp_path / "db.sqlite3"
    path.write_bytes(b"This is not a database, and long enough for one." * 100)
    with database(sqlite_settings(path)), override_settings(TASKS=TASKS):
        storage = Store(SQLITE, TASKS, None).storage
        text = complaint(lambda: {**WRITES, **READS}[verb](storage, worker(), job(), job()))
        assert "is damaged; restore it from a backup" in text
        gc.collect()


def test_trouble_in_a_transaction_leaves_it_to_the_caller(
    used: tuple[Storage, Worker, Job, Job], tmp_path: Path
) -> None:
    """What was read before may be out of date: the enqueue does not try again by itself."""
    storage = used[0]
    with locked(tmp_path), transaction.atomic(STORE):
        storage.stats()
        assert "is locked" in complaint(lambda: storage.enqueue([job()]))
    with transaction.atomic(STORE):
        (new,) = enqueued(storage, 9)
    assert ids(storage.get_results([new.id])) == [new.id]
