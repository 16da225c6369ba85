"""Limits: what is held is admitted as far as there is room, and never further."""

import pytest
from django.db import connections

from mainspring.backends.storage import Stats, Storage
from mainspring.core import outcomes
from mainspring.core.admission import Admitted
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State, Worker
from mainspring.core.ordering import FAIR_EVERY
from tests.contract.jobs import (
    ALL,
    START,
    died,
    enqueued,
    failed,
    ids,
    in_order,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.limits import admit, claim, held, limited, slots, starts, states
from tests.contract.router import STORE
from tests.contract.stores import (
    Store,
    in_both_orders,
    on_databases,
)

HELD, READY = State.HELD, State.READY


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


# Holding


def test_what_is_held_is_not_claimed(storage: Storage, worker: Worker) -> None:
    (new,) = held(storage, [slots(1)], 0)
    assert stored(storage, new.id) == new
    assert claim(storage, worker) == []
    assert storage.stats() == Stats({}, 0, 0, None, [worker.id], 1, [])


def test_jobs_without_limits_are_claimed_beside(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1)], *range(50))
    (plain,) = enqueued(storage, 25)
    assert ids(claim(storage, worker)) == [plain.id]


def test_with_nothing_held_there_is_nothing_to_admit(storage: Storage) -> None:
    enqueued(storage, 0)
    assert storage.admit(START) == Admitted(0, None)
    assert storage.admit(START, [limited(0, slots(1)).limit_group or ""]) == Admitted(0, None)


def test_as_many_are_admitted_as_there_are_slots(storage: Storage, worker: Worker) -> None:
    new = held(storage, [slots(3)], *range(5))
    assert storage.admit(START) == Admitted(3, None)
    assert sorted(states(storage, new)) == [HELD, HELD, READY, READY, READY]
    assert len(claim(storage, worker)) == 3
    assert storage.admit(START) == Admitted(0, None)


def test_admitted_jobs_are_otherwise_as_they_were(storage: Storage, worker: Worker) -> None:
    (new,) = held(storage, [slots(1)], 0, priority=3, queue_name="mail", metadata=b"{}")
    admit(storage)
    assert stored(storage, new.id) == new._replace(state=READY)
    (taken,) = claim(storage, worker)
    assert taken._replace(state=HELD, claim=None) == new


@in_both_orders
def test_the_order_is_that_of_the_backend(store: Store) -> None:
    storage = store.storage
    moments = in_order(store.kind.order, range(6))
    by_moment = {at: limited(at, slots(2), priority=int(at == 3)) for at in range(6)}
    storage.enqueue(list(by_moment.values()))
    expected = [3, *(at for at in moments if at != 3)]
    order = []
    worker = registered(storage)
    for _ in range(3):
        admit(storage)
        taken = claim(storage, worker)
        order += [one.available_at - START for one in taken]
        storage.settle(worker, [succeeded(one, worker) for one in taken])
    assert order == [*expected[:2], *expected[2:4], *expected[4:]]


def test_one_look_in_eight_begins_with_the_job_that_has_waited_longest(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    # The oldest has the lowest priority as well: no order but that of age brings it early.
    held(storage, [slots(1)], 0, priority=-9)
    held(storage, [slots(1)], *range(1, 2 * FAIR_EVERY))
    order = []
    for _ in range(FAIR_EVERY):
        assert admit(storage) == 1
        (taken,) = claim(storage, worker)
        order.append(taken.available_at - START)
        storage.settle(worker, [succeeded(taken, worker)])
    assert 0 in order


# Slots


@pytest.mark.parametrize("state", [State.SUCCESSFUL, State.FAILED])
def test_what_has_finished_gives_its_slot_back(
    storage: Storage, worker: Worker, state: State
) -> None:
    held(storage, [slots(1)], 0, 1)
    admit(storage)
    (taken,) = claim(storage, worker)
    assert admit(storage) == 0
    make = succeeded if state == State.SUCCESSFUL else failed
    storage.settle(worker, [make(taken, worker)])
    assert admit(storage) == 1


def test_what_is_to_be_tried_again_at_once_keeps_its_slot(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1)], 0, 1)
    admit(storage)
    (taken,) = claim(storage, worker)
    storage.settle(worker, [outcomes.snoozed(taken, START, 0)])
    assert state_of(storage, taken.id) == READY
    assert admit(storage) == 0
    storage.release(worker, claim(storage, worker))
    assert admit(storage) == 0


def test_what_is_to_be_tried_later_gives_its_slot_back_and_is_held_again(
    storage: Storage, worker: Worker
) -> None:
    new = held(storage, [slots(1)], 0, 1)
    admit(storage)
    (taken,) = claim(storage, worker)
    (other,) = [one for one in new if one.id != taken.id]
    storage.settle(worker, [outcomes.snoozed(taken, START, SECOND)])
    assert admit(storage) == 1
    assert storage.stage(START + SECOND).staged == 1
    assert states(storage, [taken, other]) == [HELD, READY]
    assert admit(storage, SECOND) == 0
    (taken_too,) = claim(storage, worker)
    storage.settle(worker, [succeeded(taken_too, worker)])
    assert admit(storage, SECOND) == 1
    assert state_of(storage, taken.id) == READY


def test_what_is_released_keeps_its_slot(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1)], 0, 1)
    admit(storage)
    storage.release(worker, claim(storage, worker))
    assert admit(storage) == 0


def test_what_was_cancelled_gives_its_slot_back(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(2)], *range(6))
    admit(storage)
    (running,), (waits,) = claim(storage, worker, 1), claim(storage, worker)
    storage.release(worker, [waits])
    assert storage.stats().ready == {"default": 1}
    assert storage.cancel([running.id]) == [running.id]
    assert admit(storage) == 1
    assert storage.cancel([waits.id]) == [waits.id]
    assert admit(storage) == 1


def test_what_is_held_can_be_cancelled(storage: Storage) -> None:
    new = held(storage, [slots(1)], 0, 1)
    assert storage.cancel([new[0].id]) == [new[0].id]
    assert admit(storage) == 1
    assert states(storage, new) == [State.CANCELLED, READY]
    assert storage.stats().held == 0


def test_what_a_dead_worker_ran_keeps_its_slot_until_it_fails(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    held(storage, [slots(1)], 0, 1)
    admit(storage)
    for crash in range(3):
        worker = registered(storage)
        (taken,) = claim(storage, worker)
        assert admit(another) == 0
        another.rescue(START, [died(worker, [taken])])
        assert admit(another) == (crash == 2)
    assert state_of(storage, taken.id) == State.FAILED


def test_what_was_pruned_holds_no_slot(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1)], 0, 1)
    admit(storage)
    (taken,) = claim(storage, worker)
    storage.settle(worker, [succeeded(taken, worker)])
    for _ in range(2):
        storage.prune(START + 60 * SECOND, 100)
    assert storage.get_results([taken.id]) == []
    assert admit(storage) == 1


def test_a_lost_claim_gives_no_slot_back(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    held(storage, [slots(1)], 0, 1)
    admit(storage)
    frozen = registered(storage)
    (lost,) = claim(storage, frozen)
    another.rescue(START, [died(frozen, [lost])])
    worker = registered(another)
    (taken,) = claim(another, worker)
    assert taken.id == lost.id
    assert storage.settle(frozen, [succeeded(lost, frozen)]) == [lost.id]
    assert admit(storage) == 0


# Which limits


def test_each_key_has_its_own_limit(storage: Storage) -> None:
    one = held(storage, [slots(1, "send[1]")], 0, 1)
    two = held(storage, [slots(2, "send[2]")], 0, 1, 2)
    assert admit(storage) == 3
    assert sorted(states(storage, one)) == [HELD, READY]
    assert sorted(states(storage, two)) == [HELD, READY, READY]


def test_all_limits_of_a_job_must_have_room(storage: Storage, worker: Worker) -> None:
    both = held(storage, [slots(2, "a"), slots(1, "b")], 0, 1, 2)
    only = held(storage, [slots(2, "a")], 10, 11)
    assert admit(storage) == 2
    assert storage.stats().held == 3
    taken = claim(storage, worker)
    assert sum(one.id in ids(both) for one in taken) <= 1
    assert len([one for one in taken if one.id in ids(only)]) >= 1


@in_both_orders
def test_tasks_that_share_a_limit_are_admitted_in_one_order(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    first = held(storage, [slots(1, "api"), slots(9, "first")], 0, 2, task_path="first")
    second = held(storage, [slots(1, "api"), slots(9, "second")], 1, 3, task_path="second")
    assert len(first + second) == 4
    order = []
    for _ in range(4):
        assert admit(storage) == 1
        (taken,) = claim(storage, worker)
        order.append(taken.available_at - START)
        storage.settle(worker, [succeeded(taken, worker)])
    assert order == in_order(store.kind.order, range(4))


def test_each_goes_by_its_own_number(storage: Storage, worker: Worker) -> None:
    few = held(storage, [slots(1)], 10)
    many = held(storage, [slots(3)], 0, 1, 2)
    storage.cancel([few[0].id])
    assert admit(storage) == 3
    assert states(storage, many) == [READY] * 3
    (late,) = held(storage, [slots(1)], 20)
    taken = claim(storage, worker)
    for index, one in enumerate(taken):
        assert admit(storage) == 0, index
        storage.settle(worker, [succeeded(one, worker)])
    assert admit(storage) == 1
    assert state_of(storage, late.id) == READY


def test_another_aliases_jobs_count_apart(store: Store) -> None:
    mine = held(store.storage, [slots(1)], 0, 1)
    others = held(store.other_alias, [slots(1)], 0, 1, backend="other")
    assert admit(store.storage) == 1
    assert sorted(states(store.storage, mine)) == [HELD, READY]
    assert states(store.other_alias, others) == [HELD, HELD]
    assert admit(store.other_alias) == 1


def test_many_groups_are_admitted(storage: Storage) -> None:
    storage.enqueue([limited(at, slots(1, f"key{at % 300}")) for at in range(600)])
    admitted = 0
    for _ in range(3):
        step = storage.admit(START)
        admitted += step.admitted
        assert (step.next_at is None) == (admitted == 300)
        if step.next_at is None:
            break
    assert admitted == 300


@on_databases
def test_limits_of_no_more_use_are_deleted(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1), starts(5, 300)], 0)
    held(storage, [slots(1, "of one that runs")], 0)
    admit(storage)
    done, runs = sorted(claim(storage, worker), key=lambda one: len(one.limit_group or ""))[::-1]
    storage.settle(worker, [succeeded(done, worker, SECOND)])
    assert len(names_of_limits()) == 3
    admit(storage, 200 * SECOND)
    kept = names_of_limits()
    assert sorted(name[0] for name in kept) == ["c", "r"]
    assert any("of one that runs" in name for name in kept)
    storage.settle(worker, [succeeded(runs, worker, SECOND)])
    admit(storage, 400 * SECOND)
    assert names_of_limits() == []


def names_of_limits() -> list[str]:
    with connections[STORE].cursor() as cursor:
        cursor.execute("SELECT name FROM mainspring_limit")
        return [name for (name,) in cursor.fetchall()]


# Those that were freed


def test_only_those_that_share_a_limit_with_the_freed_are_admitted(storage: Storage) -> None:
    running = held(storage, [slots(1, "a")], 0)
    others = held(storage, [slots(1, "b")], 0)
    assert admit(storage) == 2
    shares = held(storage, [slots(1, "a"), slots(9, "c")], 1)
    apart = held(storage, [slots(1, "b")], 1)
    assert admit(storage) == 0  # and now it knows of all groups
    storage.cancel(ids([*running, *others]))
    freed = {one.limit_group for one in running if one.limit_group is not None}
    assert storage.admit(START, freed).admitted == 1
    assert states(storage, [*shares, *apart]) == [READY, HELD]


def test_the_next_is_claimed_in_the_exchange_that_settles(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1)], *range(20))
    admit(storage)
    (taken,) = claim(storage, worker)
    for _ in range(19):
        assert taken.limit_group is not None
        lost, jobs = storage.settle_and_claim(
            worker, [succeeded(taken, worker)], ALL, 5, {taken.limit_group}
        )
        assert lost == []
        (taken,) = jobs
    assert storage.stats().held == 0


def test_what_another_process_holds_is_admitted_when_a_slot_is_freed(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    held(storage, [slots(1)], 0)
    admit(storage)
    worker = registered(storage)
    (taken,) = claim(storage, worker)
    held(another, [slots(1)], 1)  # of which the first process does not know
    assert taken.limit_group is not None
    _, jobs = storage.settle_and_claim(
        worker, [succeeded(taken, worker)], ALL, 5, {taken.limit_group}
    )
    assert len(jobs) == 1
