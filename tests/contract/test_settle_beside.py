"""Settling while others update or lock the rows of what is settled."""

from collections.abc import Callable, Sequence

import pytest

from mainspring.backends.storage import Storage
from mainspring.core.jobs import Job, Outcome, State, Worker
from tests.contract.beside import LONG, touch, transaction_of_another, wait_for_waiting
from tests.contract.jobs import ALL, claimed, died, registered, state_of, stored, succeeded
from tests.contract.stores import ONE_ORDER, Store, on_kinds

on_servers = on_kinds([kind for kind in ONE_ORDER if kind.server])

type Settle = Callable[[Storage, Worker, Sequence[Outcome]], Sequence[str]]


def alone(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.settle(worker, outcomes)


def with_a_claim(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.settle_and_claim(worker, outcomes, ALL, 5)[0]


def within(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    return storage.atomic().settle(outcomes)


def by_rescue(storage: Storage, worker: Worker, outcomes: Sequence[Outcome]) -> Sequence[str]:
    found = storage.rescue(0, [died(worker)])
    return sorted({one.id for one in outcomes} - {one.job_id for one in found})


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
