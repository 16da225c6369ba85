"""Large jobs: a claim brings as many as have room in memory, in their order, and at least one."""

from typing import Any

import pytest

from mainspring.backends import memory, remote_storage
from mainspring.backends.database import claims, large_jobs, worker_verbs
from mainspring.backends.database.claims import ClaimSize
from mainspring.core import codec
from mainspring.core.jobs import Job, State
from tests.contract.jobs import (
    ALL,
    START,
    enqueued,
    ids,
    in_order,
    job,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.stores import KINDS, Store, on_databases, on_kinds

KILOBYTE = 1024
LARGE = 200 * KILOBYTE

on_databases_in_both_orders = on_kinds([kind for kind in KINDS if kind.database is not None])


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim has room for three of the large jobs."""
    for module in (worker_verbs, memory, remote_storage):
        monkeypatch.setattr(module, "MOST_CLAIMED", 3 * LARGE + 20 * KILOBYTE)


def large(at: int, size: int = LARGE, **columns: object) -> Job:
    arguments = codec.encode_call(["x" * (size - 20)], {}, 10**9)
    return job(at, arguments=arguments, **columns)


def wait_is_over(store: Store) -> bool:
    return store.storage.wait_for_work(0)


@on_databases_in_both_orders
def test_a_claim_brings_as_many_as_there_is_room_for(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = [large(i) for i in range(10)]
    storage.enqueue(jobs)
    taken = storage.claim(worker, ALL, 100)
    expected = in_order(store.kind.order, range(10))[:3]
    assert [one.available_at - START for one in taken] == expected
    by_id = {one.id: one for one in jobs}
    for one in taken:
        assert one._replace(state=State.READY, claim=None) == by_id[one.id]
        assert stored(storage, one.id).claim == one.claim
    left = [one for one in jobs if one.id not in ids(taken)]
    assert {state_of(storage, one.id) for one in left} == {State.READY}
    assert {stored(storage, one.id).claim for one in left} == {None}
    assert wait_is_over(store)


@on_databases
def test_all_of_them_come_one_claim_after_the_other(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    storage.enqueue([large(i) for i in range(20)])
    seen = list[str]()
    while taken := storage.claim(worker, ALL, 1000):
        assert len(taken) <= 3
        seen += ids(taken)
        assert storage.settle(worker, [succeeded(one, worker) for one in taken]) == []
    assert len(set(seen)) == len(seen) == 20


@on_kinds([kind for kind in KINDS if kind.database is None])
def test_in_memory_one_more_may_come(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    storage.enqueue([large(i) for i in range(20)])
    seen = list[str]()
    while taken := storage.claim(worker, ALL, 1000):
        assert len(taken) == 4
        assert wait_is_over(store)
        seen += ids(taken)
    assert len(set(seen)) == len(seen) == 20


@on_databases
def test_one_that_is_larger_than_that_comes_alone(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, 0, 1)
    (huge,) = [large(10, 5 * LARGE, priority=1)]
    storage.enqueue([huge])
    (taken,) = storage.claim(worker, ALL, 10)
    assert taken.arguments == huge.arguments
    assert len(storage.claim(worker, ALL, 10)) in {1, 2}


@on_databases
def test_small_ones_count_with_the_large(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    small = enqueued(storage, *range(100, 150))
    storage.enqueue([large(i, priority=-1) for i in range(10)])
    taken = storage.claim(worker, ALL, 100)
    assert len(taken) == 53
    assert {*ids(small)} < {*ids(taken)}


@on_databases
def test_large_metadata_comes_whole(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    metadata = codec.encode({"note": "x" * LARGE})
    storage.enqueue([job(i, metadata=metadata) for i in range(5)])
    taken = storage.claim(worker, ALL, 100)
    assert len(taken) == 3
    assert {(one.arguments, one.metadata) for one in taken} == {(codec.NO_ARGUMENTS, metadata)}


@on_databases
def test_one_that_is_cancelled_meanwhile_harms_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, worker = store.storage, registered(store.storage)
    first, second = large(1, priority=1), large(0)
    storage.enqueue([first, second])
    read = large_jobs.read

    def read_later(*args: Any) -> large_jobs.Read:
        assert storage.cancel([first.id]) == [first.id]
        return read(*args)

    monkeypatch.setattr(large_jobs, "read", read_later)
    taken = storage.claim(worker, ALL, 10)
    assert ids(taken)[-1] == second.id
    settled = [succeeded(one, worker) for one in taken]
    assert set(storage.settle(worker, settled)) <= {first.id}
    assert state_of(storage, first.id) == State.CANCELLED
    assert state_of(storage, second.id) == State.SUCCESSFUL


def test_after_large_ones_fewer_are_claimed_and_then_more_and_more() -> None:
    size = ClaimSize()
    assert size.limit(600) == 600
    size.claimed(600, 600)
    assert not size.is_cut
    size.cut_to(8)
    assert size.is_cut
    limits = list[int]()
    while size.limit(10_000) < claims._MOST:
        limits.append(size.limit(10_000))
        size.claimed(limits[-1], 10_000)
        assert size.is_cut
    assert limits == [8, 16, 32, 64, 128, 256, 512]
    size.claimed(1, 10_000)
    assert size.limit(10_000) == 10_000
    assert not size.is_cut
