"""Settling while others update or lock the rows of what is settled."""

from collections.abc import Callable, Sequence

import pytest

from mainspring.backends.storage import Storage
from mainspring.core.jobs import Outcome, State, Worker
from tests.contract.beside import LONG, touch, transaction_of_another, wait_for_waiting
from tests.contract.jobs import (
    ALL,
    START,
    claimed,
    died,
    ids,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.stores import ONE_ORDER, Store, on_kinds

on_servers = on_kinds([kind for kind in ONE_ORDER if kind.server])

type Settle = Callable[[Storage, Worker, Sequence[Outcome]], Sequence[str]]


def alone(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.settle(worker, outcomes)


def with_a_claim(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.settle_and_claim(worker, outcomes, ALL, 5)[0]


def within(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.atomic().settle(outcomes)


@on_servers
@pytest.mark.parametrize("settle", [alone, with_a_claim, within])
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


@on_servers
def test_what_another_updates_meanwhile_is_rescued(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(3))
    with transaction_of_another() as another:
        touch(another, [jobs[1].id])
        rescued = store.in_thread(lambda: storage.rescue(START, [died(worker, jobs)]))
        wait_for_waiting()
        another.execute("COMMIT")
        assert {one.job_id for one in rescued.result(LONG)} == {*ids(jobs)}
    assert {state_of(storage, one.id) for one in jobs} == {State.READY}
