"""Settling while others update or lock the rows of what is settled."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import transaction
from django.tasks import TaskResultStatus

from mainspring.backends.database.vendors.mysql import dialect, settling
from mainspring.backends.database.vendors.postgresql import session
from mainspring.backends.storage import Storage
from mainspring.core.dividing import Reached
from mainspring.core.jobs import Outcome, State, Worker
from mainspring.exceptions import StoreLocked
from mainspring.maintenance.rescuer import Rescuer
from mainspring.maintenance.stager import Stager
from mainspring.runtime.board import NoBoard, ticks
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.settler import Settler
from mainspring.runtime.telling import Telling
from mainspring.runtime.worker import Worker as RunningWorker
from tests.contract.beside import LONG, touch, transaction_of_another, wait_for_waiting
from tests.contract.jobs import (
    ALL,
    LEASE,
    START,
    claimed,
    deferred,
    died,
    enqueued,
    ids,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.jobs import worker as new_worker
from tests.contract.limits import admit, held, slots
from tests.contract.router import STORE
from tests.contract.stores import ONE_ORDER, Store, on_kinds
from tests.contract.tasks import add
from tests.integration.waiting import wait_until

on_servers = on_kinds([kind for kind in ONE_ORDER if kind.server])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for, as long as a busy machine takes."""
    monkeypatch.setattr(session, "LOCK_WAIT", "60s")
    tuning = dialect._TUNING.replace("timeout = 1", "timeout = 60")
    assert tuning != dialect._TUNING
    monkeypatch.setattr(dialect, "_TUNING", tuning)
    monkeypatch.setattr(settling, "_BRIEFLY", "")


type Settle = Callable[[Storage, Worker, Sequence[Outcome]], Sequence[str]]


def alone(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.settle(worker, outcomes)


def with_a_claim(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.settle_and_claim(worker, outcomes, ALL, 5)[0]


def within(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.atomic().settle(outcomes)


@on_servers
@pytest.mark.parametrize("settle", [alone, with_a_claim, within])
@pytest.mark.usefixtures("patient")
def test_what_another_updates_meanwhile_is_settled(store: Store, settle: Settle) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(6))
    with transaction_of_another() as another:
        touch(another, [jobs[1].id, jobs[4].id])
        lost = store.in_thread(
            lambda: settle(storage, worker, [succeeded(one, worker) for one in jobs])
        )
        wait_for_waiting()
        another.execute("COMMIT")
        assert lost.result(LONG) == []
    assert {state_of(storage, one.id) for one in jobs} == {State.SUCCESSFUL}
    assert [stored(storage, one.id).priority for one in jobs] == [0, 1, 0, 0, 1, 0]


# Locked by others


@on_servers
def test_a_settle_does_not_wait_long_for_a_lock(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(4))
    outcomes = [succeeded(one, worker) for one in jobs]
    with transaction_of_another() as another:
        touch(another, [jobs[2].id])
        for settle in (alone, with_a_claim, within):
            with pytest.raises(StoreLocked, match="is locked by another transaction"):
                settle(storage, worker, outcomes)
            assert {state_of(storage, one.id) for one in jobs} == {State.RUNNING}
        assert storage.find_locked(ids(jobs)) == {jobs[2].id}
        with pytest.raises(StoreLocked):
            storage.release(worker, jobs)
        with pytest.raises(StoreLocked):
            storage.save_metadata(jobs[2], b"{}")
    assert storage.find_locked(ids(jobs)) == set()
    assert storage.settle(worker, outcomes) == []


def test_nothing_is_locked_where_nobody_holds_a_lock(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(3))
    assert storage.find_locked(ids(jobs)) == set()
    assert storage.find_locked([]) == set()
    assert storage.find_locked(["no such job"]) == set()


@pytest.fixture
def holder(store: Store) -> Worker:
    return registered(store.storage)


@pytest.fixture
def settler(store: Store, holder: Worker) -> Settler:
    return Settler(store.storage, holder, Telling(holder.id))


@on_servers
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_what_is_locked_is_set_aside_and_settled_when_the_lock_is_gone(
    store: Store, settler: Settler, holder: Worker, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = store.storage
    jobs = claimed(storage, holder, *range(4))
    more = enqueued(storage, 10, 11)
    outcomes = {one.id: succeeded(one, holder) for one in jobs}
    locked = jobs[1]
    with transaction_of_another() as another:
        touch(another, [locked.id])
        settled = settler.exchange(list(outcomes.values()), ALL, 5, ())
        others = [one for one in jobs if one is not locked]
        assert {one.id for one in settled.outcomes} == {*ids(others)}
        assert sorted(ids(settled.jobs)) == sorted(ids(more))
        assert {state_of(storage, one.id) for one in others} == {State.SUCCESSFUL}
        assert settler.left == []
        began = time.monotonic()
        after = [succeeded(one, holder) for one in settled.jobs]
        assert settler.exchange(after, ALL, 5, ()).outcomes == after
        assert time.monotonic() - began < 0.9 * LONG  # it looks first, and does not wait again
        assert state_of(storage, locked.id) == State.RUNNING
        another.execute(end)
    wait_until(lambda: settler.is_due)
    assert settler.exchange([], ALL, 0, ()) == ([outcomes[locked.id]], [], [])
    assert state_of(storage, locked.id) == State.SUCCESSFUL
    assert not settler.is_due
    assert len([one for one in caplog.records if "has locked its row" in one.message]) == 1


@on_servers
def test_what_is_cancelled_by_the_one_who_had_locked_it_is_dropped(
    store: Store, settler: Settler, holder: Worker
) -> None:
    storage = store.storage
    (taken,) = claimed(storage, holder, 0)
    with transaction.atomic(STORE):
        assert storage.cancel([taken.id]) == [taken.id]
        outcome = succeeded(taken, holder)
        exchange = store.in_thread(lambda: settler.exchange([outcome], ALL, 0, ()))
        assert exchange.result(LONG) == ([], [], [])
    wait_until(lambda: settler.is_due)
    assert settler.exchange([], ALL, 0, ()) == ([outcome], [taken.id], [])
    assert state_of(storage, taken.id) == State.CANCELLED


@on_servers
def test_what_is_to_be_released_and_locked_is_released_later(
    store: Store, settler: Settler, holder: Worker
) -> None:
    storage = store.storage
    jobs = claimed(storage, holder, *range(4))
    with transaction_of_another() as another:
        touch(another, [jobs[0].id])
        assert settler.release(jobs) == jobs[1:]
        assert {state_of(storage, one.id) for one in jobs[1:]} == {State.READY}
        assert settler.release([]) == []
    wait_until(lambda: settler.is_release_due)
    assert settler.release([]) == jobs[:1]
    assert state_of(storage, jobs[0].id) == State.READY
    assert not settler.is_release_due


@on_servers
def test_what_a_dead_worker_has_left_is_rescued_but_for_what_is_locked(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(3))
    with transaction_of_another() as another:
        touch(another, [jobs[1].id])
        for _ in range(2):
            storage.rescue(START, [died(worker, jobs)])
            states = [state_of(storage, one.id) for one in jobs]
            assert states == [State.READY, State.RUNNING, State.READY]
        assert [lease.worker_id for lease in storage.leases()] == [worker.id]
    assert [one.job_id for one in storage.rescue(START, [died(worker, jobs)])] == [jobs[1].id]
    assert {state_of(storage, one.id) for one in jobs} == {State.READY}
    assert storage.leases() == []


@on_servers
def test_how_a_worker_died_is_known_until_its_last_job_is_rescued(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(3))
    left = {worker.id: died(worker, jobs[:1])}
    rescuer = Rescuer(
        storage,
        find_lost=lambda: list(left.values()),
        forget=lambda lost: left.pop(lost.worker_id),
        is_steady=lambda: True,
        lease=LEASE,
    )
    with transaction_of_another() as another:
        touch(another, [jobs[2].id])
        for _ in range(4):
            rescuer.step(START)
        assert list(left) == [worker.id]
    rescuer.step(START)
    assert state_of(storage, jobs[2].id) == State.READY
    assert stored(storage, jobs[2].id).errors is None  # it had not been started
    rescuer.step(START)
    assert left == {}


@on_servers
def test_a_row_of_a_map_that_is_settled_while_it_is_rescued_is_not_divided(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, worker = store.storage, registered(store.storage)
    called = add.map(range(1000))
    rows = storage.claim(worker, ALL, 1000)
    row = max(rows, key=lambda one: len(one.arguments))
    dialect = storage._dialect  # type: ignore[attr-defined]
    find_locked = dialect.find_locked

    def settled_first(cursor: Any, ids: Sequence[str]) -> set[str]:
        outcome = succeeded(row, worker)
        assert store.in_thread(lambda: storage.settle(worker, [outcome])).result(LONG) == []
        found: set[str] = find_locked(cursor, ids)
        return found

    monkeypatch.setattr(dialect, "find_locked", settled_first)
    lost = died(worker, [row])._replace(reached={row.id: Reached(start=1, number=1)})
    rescued = storage.rescue(START, [lost])
    found = storage.rows_in(called.id, list(State), 1000)
    assert [job_id for job_id, _ in found] == sorted(ids(rows))
    assert {one.job_id for one in rescued} == set(ids(rows)) - {row.id}


@on_servers
def test_a_claim_in_doubt_that_is_locked_stops_nothing(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    first, second = claimed(storage, worker, 0, 1)
    storage._doubts.add(first.claim, 0.0)  # type: ignore[attr-defined]
    with transaction_of_another() as another:
        touch(another, [first.id])
        more = enqueued(storage, 10)
        assert ids(storage.claim(worker, ALL, 1)) == ids(more)
        assert state_of(storage, first.id) == State.RUNNING
        assert state_of(storage, second.id) == State.READY
    wait_until(lambda: storage.claim(worker, [], 0) or state_of(storage, first.id) == State.READY)


@on_servers
def test_a_row_of_a_map_that_is_locked_when_it_is_divided_keeps_no_other_waiting(
    store: Store,
) -> None:
    one = RunningWorker(store.backend, new_worker(), WorkerOptions(processes=1), NoBoard())
    one._register()
    called = add.map([*range(400), "x", *range(400)])
    other = add.using(priority=-1).enqueue(1)
    one.exchange(1000)
    with transaction_of_another() as another:
        another.execute(
            "UPDATE mainspring_job SET available_at = available_at + 1 WHERE claim IS NOT NULL"
            " AND id <> %s",
            (other.id,),
        )
        assert another.rowcount >= 1
        one._run_inline()
        one.settle()
        assert other.refresh().status == TaskResultStatus.SUCCESSFUL
        assert called.progress.done == 0
        one.rows.tend(ticks(), False)
        assert one.is_busy
        another.execute("COMMIT")
    deadline = time.monotonic() + LONG
    while one.is_busy:
        one.rows.tend(ticks(), False)
        one.settle()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (called.progress.done, called.progress.failed) == (801, 1)


@on_servers
def test_a_due_job_that_another_has_locked_is_come_back_to_after_a_rest(store: Store) -> None:
    stager, now = Stager(store.storage), START + LEASE
    one, other = deferred(10), deferred(20)
    store.storage.enqueue([one, other])
    with transaction_of_another() as another:
        touch(another, [one.id])
        assert stager.step(now) == 0
        assert state_of(store.storage, other.id) == State.READY
        assert 0 < stager.step(now) < 1
    stager.step(now)
    assert state_of(store.storage, one.id) == State.READY


@on_servers
def test_a_limit_that_another_has_locked_is_come_back_to(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    bound = slots(1)
    (first,) = held(storage, [bound], 0)
    assert admit(storage) == 1
    (taken,) = storage.claim(worker, ALL, 1)
    assert taken.id == first.id
    (second,) = held(storage, [bound], 1)
    with transaction_of_another() as another:
        another.execute("UPDATE mainspring_limit SET idle_at = idle_at + 1")
        outcome = succeeded(taken, worker)
        freed = [taken.limit_group or ""]
        lost, jobs = storage.settle_and_claim(worker, [outcome], ALL, 5, freed)
        assert (lost, jobs) == ([], [])
        assert state_of(storage, first.id) == State.SUCCESSFUL
        admitted = storage.admit(START)
        assert admitted.admitted == 0
        assert admitted.next_at is not None
    assert admit(storage) == 1
    assert ids(storage.claim(worker, ALL, 1)) == [second.id]
