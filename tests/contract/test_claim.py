"""claim: takes ready jobs exclusively, in the documented order, and starves none."""

from itertools import count

import pytest

from mainspring.backends.storage import Storage
from mainspring.core import outcomes
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.core.ordering import FAIR_EVERY
from tests.contract.jobs import (
    ALL,
    START,
    deferred,
    enqueued,
    ids,
    in_order,
    job,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.stores import Store, in_both_orders

pytestmark = in_both_orders


def moments(jobs: list[Job]) -> list[int]:
    return [job.available_at - START for job in jobs]


def test_within_a_priority_the_order_is_the_backends(store: Store) -> None:
    storage = store.storage
    enqueued(storage, 3, 1, 5, 2, 4)
    claimed = storage.claim(registered(storage), ALL, 10)
    assert moments(claimed) == in_order(store.kind.order, range(1, 6))


def test_the_order_holds_over_several_claims(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, 3, 1, 5, 2, 4)
    claimed = [moments(storage.claim(worker, ALL, 2)) for _ in range(3)]
    order = in_order(store.kind.order, range(1, 6))
    assert claimed == [order[:2], order[2:4], order[4:]]


def test_the_higher_priority_goes_first_whatever_its_age(store: Store) -> None:
    storage = store.storage
    for priority in (0, 100, -100, 7, -1):
        enqueued(storage, 1, 2, priority=priority)
    claimed = storage.claim(registered(storage), ALL, 100)
    assert [job.priority for job in claimed] == [100, 100, 7, 7, 0, 0, -1, -1, -100, -100]
    assert moments(claimed) == 5 * in_order(store.kind.order, (1, 2))


def test_a_deferred_job_is_ordered_by_its_moment_and_not_by_its_enqueueing(store: Store) -> None:
    storage = store.storage
    storage.enqueue([deferred(20, at=1), deferred(40, at=2)])
    enqueued(storage, 10, 30, 50)
    storage.stage(START + 100)
    claimed = storage.claim(registered(storage), ALL, 100)
    assert moments(claimed) == in_order(store.kind.order, (10, 20, 30, 40, 50))


def test_a_job_that_was_postponed_is_ordered_by_its_new_moment(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, 1)
    (claimed,) = storage.claim(worker, ALL, 1)
    postponed = outcomes.postponed(claimed, START)
    storage.settle(worker, [postponed])
    due = postponed.available_at - START
    enqueued(storage, due - 1, due + 1)
    storage.stage(START + due)
    assert moments(storage.claim(worker, ALL, 10)) == in_order(
        store.kind.order, (due - 1, due, due + 1)
    )


def test_a_claimed_job_is_running_and_whole(storage: Storage) -> None:
    (new,) = enqueued(storage, 0, queue_name="mail", priority=3)
    worker = registered(storage)
    (claimed,) = storage.claim(worker, ALL, 1)
    assert claimed == new._replace(state=State.RUNNING, claim=claimed.claim)
    assert claimed.claim is not None
    assert worker.first_claim <= claimed.claim <= worker.last_claim
    assert stored(storage, new.id) == claimed


def test_what_is_claimed_cannot_be_claimed_again(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    new = enqueued(storage, *range(10))
    first = storage.claim(registered(storage), ALL, 6)
    second = another.claim(registered(another), ALL, 6)
    assert len(first) == 6
    assert len(second) == 4
    assert sorted(ids(first + second)) == sorted(ids(new))
    assert storage.claim(registered(storage), ALL, 6) == []


def test_every_claim_draws_a_new_number(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, *range(3))
    numbers = {storage.claim(worker, ALL, 1)[0].claim for _ in range(3)}
    assert len(numbers) == 3


@pytest.mark.parametrize("limit", [1, 2, 10, 1000])
def test_no_more_than_the_limit_is_claimed(storage: Storage, limit: int) -> None:
    enqueued(storage, *range(10))
    assert len(storage.claim(registered(storage), ALL, limit)) == min(limit, 10)


def test_an_empty_store_gives_nothing(storage: Storage) -> None:
    worker = registered(storage)
    assert storage.claim(worker, ALL, 10) == []
    assert storage.claim(worker, ["mail", "*"], 10) == []


def test_what_is_deferred_cannot_be_claimed(storage: Storage) -> None:
    storage.enqueue([deferred(-SECOND)])  # due, and not staged yet
    assert storage.claim(registered(storage), ALL, 10) == []


def test_only_named_queues_are_claimed(storage: Storage) -> None:
    enqueued(storage, 1, queue_name="mail")
    (other,) = enqueued(storage, 2, queue_name="other")
    claimed = storage.claim(registered(storage), ["mail", "no such queue"], 10)
    assert [job.queue_name for job in claimed] == ["mail"]
    assert state_of(storage, other.id) == State.READY


def test_named_queues_are_preferred_in_their_order_before_any_priority(store: Store) -> None:
    storage = store.storage
    for name, priority in (("b", 100), ("c", 50), ("a", 0)):
        enqueued(storage, 1, 2, queue_name=name, priority=priority)
    worker = registered(storage)
    first = storage.claim(worker, ["a", "b", "c"], 3)
    second = storage.claim(worker, ["a", "b", "c"], 3)
    assert [job.queue_name for job in first + second] == ["a", "a", "b", "b", "c", "c"]


def test_the_star_takes_all_queues_as_equals(store: Store) -> None:
    storage = store.storage
    enqueued(storage, 1, 4, queue_name="a")
    enqueued(storage, 2, 5, queue_name="b")
    enqueued(storage, 3, queue_name="c", priority=1)
    claimed = storage.claim(registered(storage), ALL, 10)
    assert moments(claimed) == [3, *in_order(store.kind.order, (1, 2, 4, 5))]


def test_the_star_takes_a_limit_from_all_queues_together(store: Store) -> None:
    storage = store.storage
    for at in range(12):
        enqueued(storage, at, queue_name=f"queue {at % 3}")
    claimed = storage.claim(registered(storage), ALL, 5)
    assert moments(claimed) == in_order(store.kind.order, range(12))[:5]


def test_the_star_takes_queues_that_no_setting_names(storage: Storage) -> None:
    names = ["default", "Ünïcode 🐎", "with 'quotes' and %s", "z" * 64, "*?[a]"]
    for name in names:
        enqueued(storage, 0, queue_name=name)
    claimed = storage.claim(registered(storage), ALL, 10)
    assert sorted(job.queue_name for job in claimed) == sorted(names)


def test_the_star_stands_for_what_is_not_named_where_it_stands(store: Store) -> None:
    storage = store.storage
    for name in ("first", "last", "x", "y"):
        enqueued(storage, 1, queue_name=name)
    claimed = storage.claim(registered(storage), ["first", "*", "last"], 10)
    names = [job.queue_name for job in claimed]
    assert names[0] == "first"
    assert sorted(names[1:3]) == ["x", "y"]
    assert names[3] == "last"


def test_one_claim_in_so_many_starts_with_the_oldest_whatever_its_priority(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    for priority, moment in ((100, 500), (50, 300), (-100, 200)):
        enqueued(storage, *range(moment, moment + 100), priority=priority)
    claims = [storage.claim(worker, ALL, 1)[0] for _ in range(3 * FAIR_EVERY)]
    fair = [claim for claim in claims if claim.priority == -100]
    assert moments(fair) == [200, 201, 202]
    assert {claim.priority for claim in claims} == {100, -100}


def test_a_fair_claim_over_several_queues_starts_with_the_oldest_of_all(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, *range(100, 200), queue_name="a", priority=9)
    enqueued(storage, 3, queue_name="b", priority=-5)
    enqueued(storage, 5, queue_name="c", priority=-9)
    claims = [storage.claim(worker, ALL, 2)[0] for _ in range(FAIR_EVERY)]
    assert [job.queue_name for job in claims].count("b") == 1


def test_a_fair_claim_fills_its_limit(storage: Storage) -> None:
    worker = registered(storage)
    enqueued(storage, *range(40), priority=1)
    enqueued(storage, *range(40, 80), priority=0)
    assert [len(storage.claim(worker, ALL, 10)) for _ in range(9)] == [10] * 8 + [0]


def test_the_wait_is_bounded_under_constant_overload(storage: Storage) -> None:
    """Two arrive for one that is taken; what is old and unimportant is taken all the same."""
    worker = registered(storage)
    old = {one.id for one in enqueued(storage, *range(20), priority=-100)}
    clock = count(1000)
    for turn in count(1):
        enqueued(storage, next(clock), next(clock), priority=100)
        old.difference_update(ids(storage.claim(worker, ALL, 1)))
        if not old:
            break
        assert turn <= 20 * FAIR_EVERY, "starved"


def test_the_wait_is_bounded_where_claims_also_settle(storage: Storage) -> None:
    worker = registered(storage)
    (old,) = enqueued(storage, 0, priority=-100)
    held: list[Job] = []
    for turn in range(1, FAIR_EVERY + 1):
        enqueued(storage, turn, turn, priority=100)
        settled = [succeeded(job, worker) for job in held]
        storage.settle(worker, [])  # a settle alone takes no turn
        lost, held = storage.settle_and_claim(worker, settled, ALL, 1)
        assert lost == []
        storage.settle_and_claim(worker, [], ALL, 0)
    assert ids(held) == [old.id]


def test_a_job_may_be_cancelled_between_enqueue_and_claim(storage: Storage) -> None:
    jobs = enqueued(storage, *range(4))
    storage.cancel([jobs[1].id, jobs[2].id])
    claimed = storage.claim(registered(storage), ALL, 10)
    assert sorted(ids(claimed)) == sorted([jobs[0].id, jobs[3].id])


def test_jobs_that_are_equal_in_order_are_each_claimed_once(storage: Storage) -> None:
    new = [job(7) for _ in range(50)]
    storage.enqueue(new)
    worker = registered(storage)
    claimed = [one for _ in range(10) for one in storage.claim(worker, ALL, 7)]
    assert sorted(ids(claimed)) == sorted(ids(new))
