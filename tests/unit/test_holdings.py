"""What a worker holds: nothing is lost, released twice or started after a release that failed."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from mainspring.core import outcomes
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.board import NoBoard
from mainspring.runtime.holdings import Holdings
from mainspring.runtime.telling import Telling
from tests.contract.jobs import ids, job

WORKER = Worker("worker-1", 1)


class Store:
    """Notes what it is asked for, and fails when told to."""

    def __init__(self) -> None:
        self.is_down = False
        self.ready: list[Job] = []
        self.asked: list[tuple[str, list[str]]] = []

    def settle_and_claim(
        self,
        worker: Worker,
        settled: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        freed: Collection[str] = (),
    ) -> tuple[list[str], list[Job]]:
        self._note("settle", [outcome.id for outcome in settled])
        claimed, self.ready = self.ready[:limit], self.ready[limit:]
        return [], claimed

    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        self._note("release", ids(jobs))
        return len(jobs)

    def _note(self, verb: str, names: list[str]) -> None:
        self.asked.append((verb, names))
        if self.is_down:
            raise StoreUnavailable("down")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def holdings(store: Store) -> Holdings:
    storage: Any = store
    return Holdings(storage, WORKER, NoBoard(), Telling(WORKER.id), 100, lambda: None)


def succeeded(one: Job) -> Outcome:
    return outcomes.succeeded(one, WORKER.id, 1, 2, None)


def test_it_is_told_of_what_is_to_be_run_again_later(store: Store) -> None:
    told: list[str] = []
    storage: Any = store
    telling = Telling(WORKER.id)
    holdings = Holdings(storage, WORKER, NoBoard(), telling, 100, lambda: told.append("later"))
    store.ready = [job(), job(1)]
    now, later = holdings.settle_and_claim(["*"], 2)
    holdings.finished.append(succeeded(now))
    holdings.settle_and_claim(["*"], 0)
    assert told == []
    holdings.finished.append(outcomes.snoozed(later, 5, 10))
    holdings.settle_and_claim(["*"], 0)
    assert told == ["later"]


def test_what_is_claimed_is_held_until_it_is_settled(store: Store, holdings: Holdings) -> None:
    store.ready = [job(), job(1)]
    claimed = holdings.settle_and_claim(["*"], 5)
    assert not holdings.is_empty
    assert holdings.left == 98
    holdings.finished += map(succeeded, claimed)
    assert holdings.oldest_finished_at() == 2
    holdings.settle_and_claim(["*"], 0)
    assert holdings.is_empty
    assert holdings.has_worked
    assert holdings.oldest_finished_at() is None


def test_with_nothing_to_do_the_store_is_left_alone(store: Store, holdings: Holdings) -> None:
    assert holdings.settle_and_claim(["*"], 0) == []
    holdings.release([])
    assert store.asked == []


def test_outcomes_that_could_not_be_settled_come_first_the_next_time(
    store: Store, holdings: Holdings
) -> None:
    store.ready = [job(), job(1)]
    one, two = holdings.settle_and_claim(["*"], 5)
    holdings.finished.append(succeeded(one))
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        holdings.settle_and_claim(["*"], 0)
    store.is_down = False
    holdings.finished.append(succeeded(two))
    holdings.settle_and_claim(["*"], 0)
    assert store.asked[-1] == ("settle", ids([one, two]))
    assert holdings.is_empty


def test_a_release_that_failed_is_made_before_anything_else(
    store: Store, holdings: Holdings
) -> None:
    store.ready = [job(), job(1)]
    claimed = holdings.settle_and_claim(["*"], 5)
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        holdings.release(claimed)
    assert not holdings.is_empty
    store.is_down = False
    holdings.settle_and_claim(["*"], 0)
    assert store.asked[-1] == ("release", ids(claimed))
    assert holdings.is_empty
    assert holdings.left == 100
    holdings.settle_and_claim(["*"], 1)
    assert [verb for verb, _ in store.asked[-2:]] == ["release", "settle"]


def test_what_was_settled_elsewhere_is_held_no_more(store: Store) -> None:
    later: list[bool] = []
    storage: Any = store
    holdings = Holdings(
        storage, WORKER, NoBoard(), Telling(WORKER.id), 100, lambda: later.append(True)
    )
    store.ready = [job(), job(1), job(2)]
    first, second, third = holdings.settle_and_claim((), 3)
    holdings.settled([succeeded(first)], ())
    assert not holdings.is_empty
    assert (holdings.has_worked, later) == (True, [])
    holdings.settled([outcomes.snoozed(second, 1, 1), succeeded(third)], [third.id])
    assert holdings.is_empty
    assert later == [True]
    assert [verb for verb, _ in store.asked] == ["settle"]


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"limit_group": '[["c:a",1,null,"burst"]]'}, State.SCHEDULED),
        ({"limit_group": '[["c:a",'}, State.FAILED),
        ({"limit_group": "[5]"}, State.FAILED),
        ({"options": b'{"_format":2}'}, State.SCHEDULED),
        ({"options": b'{"_map":'}, State.FAILED),
        ({"options": b'{"_map":["0","slices"]}'}, State.SCHEDULED),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_not_handed_out_and_settled_with_the_next(
    store: Store, holdings: Holdings, columns: dict[str, Any], state: State
) -> None:
    odd, plain = job(claim=1, **columns), job(1, claim=1)
    store.ready = [odd, plain]
    assert holdings.settle_and_claim(["*"], 10) == [plain]
    ((settled, claim, became, *_),) = holdings.finished
    assert (settled, claim, became) == (odd.id, 1, state)
    assert holdings.settle_and_claim(["*"], 10) == []
    assert store.asked[-1] == ("settle", [odd.id])
