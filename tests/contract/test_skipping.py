"""Beside a transaction that stays open: claims skip what is dead, in order, and miss nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from mainspring.backends.database import skipping
from mainspring.backends.database.statements import statement
from mainspring.backends.database.stretches import CHECK_AFTER, CHECK_AT_LEAST_EVERY
from mainspring.backends.database.vendors.postgresql import spans, vacuum
from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job
from mainspring.core.ordering import FAIR_EVERY
from tests.contract.beside import transaction_of_another
from tests.contract.jobs import (
    ALL,
    DAY,
    START,
    deferred,
    died,
    enqueued,
    failed,
    ids,
    in_order,
    registered,
    succeeded,
)
from tests.contract.router import STORE
from tests.contract.stores import KINDS, Store, on_kinds

LONG = 20.0  # seconds

SKIPPING = [kind for kind in KINDS if kind.server and kind.name != "postgresql-local"]
pytestmark = on_kinds(SKIPPING)


class Clock:
    """The clock by which stretches age; it stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stands = Clock()
    monkeypatch.setattr(skipping, "time", SimpleNamespace(monotonic=stands.monotonic))
    return stands


@pytest.fixture
def storage(store: Store) -> Storage:
    """A storage whose claims skip what they have passed."""
    return skipping_one(store.storage)


def skipping_one(storage: Storage) -> Storage:
    storage._dialect._skipping.begin()  # type: ignore[attr-defined]
    return storage


def looks(storage: Storage) -> bool:
    """Return whether an idle worker's look finds work."""
    return storage._is_any_ready()  # type: ignore[attr-defined, no-any-return]


def moments(jobs: list[Job]) -> list[int]:
    return [job.available_at - START for job in jobs]


def unfairly(storage: Storage, worker: Any, queues: Any, limit: int) -> list[Job]:
    """Claim in order, and not what has waited longest."""
    demand = storage._demand  # type: ignore[attr-defined]
    while next(demand._turns) % FAIR_EVERY == FAIR_EVERY - 1:
        pass
    return storage.claim(worker, queues, limit)


def test_the_order_holds_over_several_claims(storage: Storage, store: Store) -> None:
    worker, left = registered(storage), {}
    for priority in (0, 5, -5, 100):
        left[priority] = in_order(store.kind.order, range(0, 40, 2))
        enqueued(storage, *left[priority], priority=priority)
    for _ in range(9):
        before = sorted(left, reverse=True)
        expected = [(p, moment) for p in before for moment in left[p]][:9]
        taken = unfairly(storage, worker, ALL, 9)
        assert [(one.priority, one.available_at - START) for one in taken] == expected
        for priority, moment in expected:
            left[priority].remove(moment)


def test_the_order_holds_in_named_queues(storage: Storage, store: Store) -> None:
    worker = registered(storage)
    for queue in ("b", "a", "other"):
        enqueued(storage, *range(10), queue_name=queue)
    queues, found = ("b", "a", *ALL), []
    for _ in range(6):
        found += unfairly(storage, worker, queues, 5)
    order = in_order(store.kind.order, range(10))
    assert [one.queue_name for one in found] == ["b"] * 10 + ["a"] * 10 + ["other"] * 10
    assert moments(found) == 3 * order
    assert not looks(storage)


def test_a_fair_turn_starts_with_what_has_waited_longest(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, *range(100, 200), priority=1)
    (oldest,) = enqueued(storage, 5, priority=-1)
    taken: list[Job] = []
    for _ in range(FAIR_EVERY):
        taken += storage.claim(worker, ALL, 2)
    assert oldest.id in ids(taken)
    for _ in range(20 * FAIR_EVERY):
        taken += storage.claim(worker, ALL, 1)
    assert len(set(ids(taken))) == len(taken) == 101


def test_a_fair_turn_that_others_were_faster_in_passes_nothing(
    storage: Storage, clock: Clock
) -> None:
    worker = registered(storage)
    storage._dialect._skipping.begin([0, 1])  # type: ignore[attr-defined]
    (oldest,) = enqueued(storage, 0, priority=1)
    others = enqueued(storage, *range(10, 15))
    turns = storage._demand._turns  # type: ignore[attr-defined]
    while next(turns) % FAIR_EVERY != FAIR_EVERY - 1:
        pass
    with transaction_of_another() as another:
        another.execute("SELECT id FROM mainspring_job WHERE id = %s FOR UPDATE", (oldest.id,))
        taken = storage.claim(worker, ALL, 10) or storage.claim(worker, ALL, 10)
        assert set(ids(taken)) == set(ids(others))


def test_a_new_priority_or_queue_is_seen_at_once(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, 1)
    assert storage.claim(worker, ALL, 10)
    (higher,) = enqueued(storage, 1, priority=50)
    assert looks(storage)
    assert ids(storage.claim(worker, ALL, 10)) == [higher.id]
    (lower,) = enqueued(storage, 1, priority=-50)
    assert looks(storage)
    assert ids(storage.claim(worker, ALL, 10)) == [lower.id]


def test_a_job_of_the_present_is_found_at_once(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, 1)
    assert storage.claim(worker, ALL, 10)
    behind = time.time_ns() // 1000 - START - skipping.SLACK // 2
    (new,) = enqueued(storage, behind)
    assert looks(storage)
    assert ids(storage.claim(worker, ALL, 10)) == [new.id]


def test_a_job_below_the_bound_is_found_when_the_stretch_is_looked_through_again(
    storage: Storage, clock: Clock
) -> None:
    worker = registered(storage)
    enqueued(storage, 0, 100)
    assert len(storage.claim(worker, ALL, 10)) == 2
    (late,) = enqueued(storage, 50)
    assert not looks(storage)
    assert storage.claim(worker, ALL, 10) == []
    clock.now += CHECK_AFTER
    assert ids(storage.claim(worker, ALL, 10)) == [late.id]


def test_a_look_finds_a_job_below_the_bound_as_well(storage: Storage, clock: Clock) -> None:
    worker = registered(storage)
    enqueued(storage, 0, 100)
    assert len(storage.claim(worker, ALL, 10)) == 2
    for _ in range(100):  # by now, the stretch is old
        clock.now += 10
        assert not looks(storage)
    (late,) = enqueued(storage, 50)
    clock.now += CHECK_AT_LEAST_EVERY
    assert looks(storage)
    assert ids(storage.claim(worker, ALL, 10)) == [late.id]


def test_what_this_process_releases_it_finds_at_once(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, *range(100))
    taken = storage.claim(worker, ALL, 100)
    assert storage.release(worker, taken[40:60]) == 20
    assert set(ids(storage.claim(worker, ALL, 100))) == set(ids(taken[40:60]))


def test_what_this_process_rescues_it_finds_at_once(storage: Storage) -> None:
    gone, worker = registered(storage), registered(storage)
    enqueued(storage, *range(10))
    taken = storage.claim(gone, ALL, 10)
    assert storage.claim(worker, ALL, 10) == []
    storage.rescue(START + DAY, [died(gone)])
    assert set(ids(storage.claim(worker, ALL, 10))) == set(ids(taken))


def test_what_this_process_stages_it_finds_at_once(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, 0, 100)
    assert len(storage.claim(worker, ALL, 10)) == 2
    jobs = [deferred(10), deferred(20)]
    storage.enqueue(jobs)
    assert storage.stage(START + DAY).staged == 2
    assert set(ids(storage.claim(worker, ALL, 10))) == set(ids(jobs))


def test_what_one_process_releases_others_find_at_once(storage: Storage, store: Store) -> None:
    if not store.kind.server.startswith("postgresql"):
        pytest.skip("nobody can be told")
    worker = registered(storage)
    other = skipping_one(store.another_process())
    other.wait_for_work(0)  # it listens
    enqueued(storage, *range(10))
    taken = storage.claim(worker, ALL, 10)
    assert other.claim(worker, ALL, 10) == []
    storage.release(worker, taken[3:5])
    deadline = time.monotonic() + LONG
    found: list[Job] = []
    while len(found) < 2:
        other.wait_for_work(0.5)
        found += other.claim(worker, ALL, 10)
        assert time.monotonic() < deadline
    assert set(ids(found)) == set(ids(taken[3:5]))


def test_staged_jobs_are_skipped_and_late_ones_found(storage: Storage, clock: Clock) -> None:
    storage.enqueue([deferred(10), deferred(20)])
    assert storage.stage(START + DAY).staged == 2
    assert storage.stage(START + DAY).next_at is None
    assert storage._dialect.due_from() > START + DAY  # type: ignore[attr-defined]
    late = deferred(15)
    storage.enqueue([late])
    assert storage.stage(START + DAY).next_at is None
    clock.now += CHECK_AFTER
    assert storage.stage(START + DAY).staged == 1
    assert late.id in ids(storage.claim(registered(storage), ALL, 10))


def test_a_deferred_job_to_come_is_staged_when_it_is_due(storage: Storage) -> None:
    tomorrow = time.time_ns() // 1000 - START + DAY
    assert storage.stage(START).next_at is None
    storage.enqueue([deferred(tomorrow + at) for at in (5, 0)])
    assert storage.stage(START).next_at == START + tomorrow
    assert storage.stage(START + tomorrow).staged == 1
    assert storage.stage(START + tomorrow + 10).staged == 1


def test_a_retry_that_was_stored_late_is_found_at_once(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, 0)
    (taken,) = storage.claim(worker, ALL, 1)
    assert storage.stage(START + DAY).next_at is None
    assert storage.settle(worker, [failed(taken, worker, retry_after=SECOND)]) == []
    assert storage.stage(START + DAY).staged == 1
    assert ids(storage.claim(worker, ALL, 1)) == [taken.id]


def test_claims_of_two_processes_take_each_job_once(storage: Storage, store: Store) -> None:
    other = skipping_one(store.another_process())
    worker = registered(storage)
    jobs = enqueued(storage, *range(300))
    taken: list[Job] = []
    while batch := [*storage.claim(worker, ALL, 7), *other.claim(worker, ALL, 11)]:
        taken += batch
        storage.settle(worker, [succeeded(one, worker) for one in batch])
    assert sorted(ids(taken)) == sorted(ids(jobs))


@contextmanager
def snapshot() -> Iterator[None]:
    """Hold a transaction open that still sees all that there is now."""
    connection = connections[STORE].copy()
    connection.inc_thread_sharing()
    if connection.vendor == "mysql":  # Django's default is READ COMMITTED, which keeps no snapshot
        connection.settings_dict["OPTIONS"]["isolation_level"] = "repeatable read"
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            else:
                cursor.execute("START TRANSACTION")
            cursor.execute("SELECT count(*) FROM mainspring_job")
            seen = cursor.fetchall()
            yield
            cursor.execute("SELECT count(*) FROM mainspring_job")
            assert cursor.fetchall() == seen
    finally:
        connection.close()


def pass_through(storage: Storage, number: int) -> None:
    """Have jobs enqueued, claimed and settled."""
    worker = registered(storage)
    enqueued(storage, *range(number))
    while taken := storage.claim(worker, ALL, 100):
        storage.settle(worker, [succeeded(one, worker) for one in taken])


def pages_of(storage: Storage) -> int:
    """Return how many pages the server reads for a claim of one job that is not there."""
    exchange = storage._dialect._exchange  # type: ignore[attr-defined]
    step = exchange._in_order("any", [skipping.Source(None)], [])
    _, *columns = spans.columns(step.walk)
    sql = statement("postgresql", f"{step.name}_in")
    with storage._reading() as cursor:  # type: ignore[attr-defined]
        values = (1, "default", [], 1, *columns)
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values)
        ((found,),) = cursor.fetchall()
    plan = found[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_claims_skip_as_long_as_dead_rows_must_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not store.kind.server.startswith("postgresql"):
        pytest.skip("PostgreSQL's statistics")
    monkeypatch.setattr(vacuum, "_FEW", 500)
    monkeypatch.setattr(vacuum, "_SLOW", 20)
    monkeypatch.setattr(vacuum, "_IN_VAIN", 0.1)
    storage = store.storage
    own: Any = storage._dialect  # type: ignore[attr-defined]
    own._vacuum.__init__("default", own._skipping, 500, 500)
    deadline = time.monotonic() + LONG
    with snapshot():
        pass_through(storage, 3000)
        assert storage.may_need_vacuum()
        while not own._skipping.is_on:  # the server counts dead rows once a second
            storage.vacuum()
            assert time.monotonic() < deadline
        without = pages_of(storage)
        assert storage.claim(registered(storage), ALL, 1) == []
        assert pages_of(storage) < without / 4
    while own._skipping.is_on:
        storage.vacuum()
        assert time.monotonic() < deadline
    assert pages_of(storage) < without / 4  # what is dead is gone
