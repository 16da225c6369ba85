"""MariaDB beside a transaction that stays open: claims and looks search little, and miss nothing.

Moments are counted from now: what became ready long ago is late, and found by a later search.
"""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from mainspring.backends.database.skipping import Source
from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.mysql import purging, searches
from mainspring.backends.database.vendors.mysql.groups import Group
from mainspring.backends.storage import Storage
from mainspring.core import clock
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job
from tests.contract.beside import transaction_of_another
from tests.contract.jobs import ALL, DAY, START, enqueued, failed, ids, registered, succeeded
from tests.contract.router import STORE
from tests.contract.stores import KINDS, Store, on_kinds
from tests.contract.test_skipping import Clock, looks, pass_through, snapshot, unfairly

pytestmark = on_kinds([kind for kind in KINDS if kind.server == "mariadb"])


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which searches are spaced out; it stands still until told otherwise."""
    stands = Clock()
    monkeypatch.setattr(searches, "time", SimpleNamespace(monotonic=stands.monotonic))
    return stands


@pytest.fixture
def storage(store: Store, pause: Clock) -> Storage:
    """A storage that has searched the whole index."""
    return searched(store.storage)


def searched(storage: Storage) -> Storage:
    dialect: Any = storage._dialect  # type: ignore[attr-defined]
    dialect._skipping.begin()
    dialect._searches.space_out(30)
    assert storage.claim(registered(storage), ALL, 1) == []
    return storage


def fresh(storage: Storage, *after: int, **columns: Any) -> list[Job]:
    """Enqueue jobs that become ready about now."""
    now = clock.now() - START
    return enqueued(storage, *(now + moment for moment in after), **columns)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that search for ready jobs, as they are executed."""
    executed: list[str] = []
    rows = Group.rows

    def noted(group: Group, cursor: Any, name: str, *values: int) -> Any:
        executed.append(name)
        return rows(group, cursor, name, *values)

    monkeypatch.setattr(Group, "rows", noted)
    return executed


def test_an_empty_claim_and_an_empty_look_are_one_statement_each(
    storage: Storage, statements: list[str]
) -> None:
    worker = registered(storage)
    for _ in range(9):
        assert storage.claim(worker, ALL, 10) == []
        assert not looks(storage)
    assert statements == 9 * ["between", "look_fresh"]


def test_fresh_jobs_are_claimed_in_order(
    storage: Storage, store: Store, statements: list[str]
) -> None:
    worker, expected = registered(storage), []
    for priority in (5, 0, -5):
        jobs = fresh(storage, *range(6), priority=priority)
        expected += jobs if store.kind.order == "fifo" else jobs[::-1]
    assert looks(storage)
    found: list[str] = []
    while taken := unfairly(storage, worker, ALL, 5):
        found += ids(taken)
    assert found == ids(expected)
    assert set(statements) == {"between", "look_fresh"}


def test_a_fair_turn_starts_with_the_oldest_fresh_job(storage: Storage) -> None:
    worker = registered(storage)
    fresh(storage, *range(100, 200), priority=1)
    (oldest,) = fresh(storage, -SECOND, priority=-1)
    for _ in range(20):
        if oldest.id in ids(storage.claim(worker, ALL, 1)):
            return
    pytest.fail("The oldest job had no turn")


def test_a_backlog_is_claimed_in_order_too(storage: Storage, store: Store) -> None:
    worker = registered(storage)
    jobs = fresh(storage, *range(300))
    found: list[str] = []
    while taken := unfairly(storage, worker, ALL, 40):
        found += ids(taken)
    assert found == ids(jobs if store.kind.order == "fifo" else jobs[::-1])


def test_what_another_process_has_locked_is_left_to_it(storage: Storage, store: Store) -> None:
    other = searched(store.another_process())
    jobs = fresh(storage, *range(4))
    locked, left = [jobs[0].id, jobs[3].id], [jobs[1].id, jobs[2].id]
    with transaction_of_another() as cursor:
        cursor.execute(statement("mysql", "lock_chosen"), (tuple(locked),))
        assert sorted(ids(storage.claim(registered(storage), ALL, 2))) == left
        assert other.claim(registered(other), ALL, 2) == []
    assert sorted(ids(other.claim(registered(other), ALL, 2))) == locked


def test_claims_of_two_processes_take_each_fresh_job_once(storage: Storage, store: Store) -> None:
    other = searched(store.another_process())
    worker = registered(storage)
    jobs = fresh(storage, *range(300))
    taken: list[Job] = []
    while batch := [*storage.claim(worker, ALL, 7), *other.claim(worker, ALL, 11)]:
        taken += batch
        storage.settle(worker, [succeeded(one, worker) for one in batch])
    assert sorted(ids(taken)) == sorted(ids(jobs))


def test_named_queues_have_searches_of_their_own(storage: Storage) -> None:
    worker = registered(storage)
    assert storage.claim(worker, ["mail"], 1) == []
    (news,) = fresh(storage, 0, queue_name="news")
    (mail,) = fresh(storage, 1, queue_name="mail")
    assert ids(storage.claim(worker, ["mail"], 5)) == [mail.id]
    assert storage.claim(worker, ["mail"], 5) == []
    assert ids(storage.claim(worker, ["mail", *ALL], 5)) == [news.id]


def test_a_retry_is_found_in_every_process(storage: Storage, store: Store) -> None:
    other = searched(store.another_process())
    worker = registered(storage)
    fresh(storage, 0)
    (taken,) = storage.claim(worker, ALL, 1)
    storage.settle(worker, [failed(taken, worker, clock.now() - START, 0)])
    assert looks(other)
    assert ids(other.claim(worker, ALL, 1)) == [taken.id]


def test_what_this_process_releases_is_found_at_once(storage: Storage, pause: Clock) -> None:
    worker = registered(storage)
    (late,) = enqueued(storage, DAY)
    pause.now += 30
    (taken,) = storage.claim(worker, ALL, 1)
    assert taken.id == late.id
    assert storage.claim(worker, ALL, 1) == []
    storage.release(worker, [taken])
    assert looks(storage)
    assert ids(storage.claim(worker, ALL, 1)) == [late.id]


def test_a_late_job_is_found_when_all_is_searched_again(storage: Storage, pause: Clock) -> None:
    (late,) = enqueued(storage, DAY)
    assert not looks(storage)
    pause.now += 30
    assert looks(storage)
    assert ids(storage.claim(registered(storage), ALL, 1)) == [late.id]


def test_measuring_spaces_searches_out(
    store: Store, pause: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect: Any = store.storage._dialect  # type: ignore[attr-defined]
    source = Source(None, ALL)
    monkeypatch.setattr(purging, "_SLOW", -1.0)
    assert store.storage.vacuum()
    assert store.storage.claim(registered(store.storage), ALL, 1) == []
    assert dialect._searches.begin(source) is not None
    monkeypatch.setattr(purging, "_SLOW", 60.0)
    assert not store.storage.vacuum()
    assert dialect._searches.begin(source) is None


def test_ready_jobs_come_after_running_ones_in_the_index_by_time(store: Store) -> None:
    connection = connections[STORE]
    if connection.mysql_version < (10, 8):  # type: ignore[attr-defined]
        pytest.skip("This server has no indexes in descending order")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT collation FROM information_schema.statistics WHERE table_schema = database() "
            "AND index_name = 'mainspring_job_available' ORDER BY seq_in_index"
        )
        assert [collation for (collation,) in cursor.fetchall()] == ["D", "A", "A"]


def pages(storage: Storage, name: str, *values: int) -> int:
    """Return how many pages the server reads for a statement about all queues."""
    sql = f"ANALYZE FORMAT=JSON {statement('mysql', name)}"
    with storage._reading() as cursor:  # type: ignore[attr-defined]
        cursor.execute(sql, ("default", ALL, *values))
        ((found,),) = cursor.fetchall()
    counts = found.partition('"r_engine_stats"')[2]
    if '"pages_accessed"' not in counts:
        pytest.skip("This server does not count the pages that a statement reads")
    return int(json.loads(counts[counts.index("{") : counts.index("}") + 1])["pages_accessed"])


def test_a_search_reads_few_pages_beside_a_snapshot(store: Store) -> None:
    storage = store.storage
    with snapshot():
        pass_through(storage, 3000)
        ready = pages(storage, "since_any", 0, START, START + DAY)
        assert pages(storage, "between_any", START + 3000, START + DAY, 10) < ready / 4
