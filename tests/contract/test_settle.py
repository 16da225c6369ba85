"""settle, settle_and_claim and release: fenced by the claim."""

from collections.abc import Callable

import pytest

from mainspring.backends.storage import Storage
from mainspring.core import codec, outcomes
from mainspring.core.clock import SECOND
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Job, Outcome, State, Worker
from tests.contract.jobs import (
    ALL,
    LEASE,
    START,
    as_stored,
    claimed,
    died,
    enqueued,
    failed,
    ids,
    in_order,
    job,
    registered,
    rescue_silent,
    state_of,
    stored,
    succeeded,
)
from tests.contract.stores import Store, in_both_orders


def postponed(one: Job, by: Worker) -> Outcome:
    return outcomes.postponed(one, START)


def given_up(one: Job, by: Worker) -> Outcome:
    return outcomes.untouched(one)


def snoozed(one: Job, by: Worker) -> Outcome:
    return outcomes.snoozed(one, START, SECOND)


def to_be_retried(one: Job, by: Worker) -> Outcome:
    return failed(one, by, retry_after=SECOND)


def retried_at_once(one: Job, by: Worker) -> Outcome:
    return failed(one, by, retry_after=0)


ANY = [succeeded, failed, postponed, given_up, snoozed, to_be_retried, retried_at_once]


@pytest.mark.parametrize("outcome_of", ANY)
def test_an_outcome_is_stored_whole(
    storage: Storage, outcome_of: Callable[[Job, Worker], Outcome]
) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    outcome = outcome_of(taken, worker)
    assert storage.settle(worker, [outcome]) == []
    found = stored(storage, taken.id)
    assert found == taken._replace(**outcome._asdict())._replace(claim=None)


def test_a_success_shows_what_it_returned_and_who_ran_it(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.settle(worker, [succeeded(taken, worker, SECOND, b'{"a":[1]}')])
    found = stored(storage, taken.id)
    assert found.state == State.SUCCESSFUL
    assert found.return_value == b'{"a":[1]}'
    assert found.worker_ids is not None
    assert codec.decode(found.worker_ids) == [worker.id]
    assert (found.started_at, found.last_attempted_at) == (START, START)
    assert found.finished_at == START + SECOND
    assert found.errors is None


def test_a_failure_shows_its_error(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.settle(worker, [failed(taken, worker)])
    found = stored(storage, taken.id)
    assert found.state == State.FAILED
    assert found.errors is not None
    error = TaskError("builtins.ValueError", "ValueError: no\n")
    assert codec.decode(found.errors) == [as_stored(error, worker, START, START + SECOND)]
    assert found.return_value is None


@pytest.mark.parametrize("number", [1, 2, 500])
def test_many_outcomes_are_settled_at_once(storage: Storage, number: int) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(number))
    assert storage.settle(worker, [succeeded(one, worker) for one in taken]) == []
    assert {job.state for job in storage.get_results(ids(taken))} == {State.SUCCESSFUL}
    assert storage.stats().running == 0


def test_nothing_is_a_harmless_settle(storage: Storage) -> None:
    assert storage.settle(registered(storage), []) == []


def test_part_of_a_claim_can_be_settled(storage: Storage) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(4))
    storage.settle(worker, [succeeded(one, worker) for one in taken[:2]])
    assert storage.stats().running == 2
    storage.settle(worker, [failed(one, worker) for one in taken[2:]])
    assert storage.stats().running == 0


def test_what_is_retried_and_claimed_at_once_is_not_taken_for_lost(storage: Storage) -> None:
    """Beside a claim that was lost, in one exchange."""
    worker = registered(storage)
    gone, retried = claimed(storage, worker, 0, 1)
    assert storage.cancel([gone.id]) == [gone.id]
    settled = [succeeded(gone, worker), retried_at_once(retried, worker)]
    lost, taken = storage.settle_and_claim(worker, settled, ALL, 1)
    assert lost == [gone.id]
    assert ids(taken) == [retried.id]


def test_what_is_settled_cannot_be_settled_again(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.settle(worker, [succeeded(taken, worker)])
    assert storage.settle(worker, [failed(taken, worker)]) == [taken.id]
    assert state_of(storage, taken.id) == State.SUCCESSFUL


def test_an_outcome_that_comes_twice_in_a_batch_is_stored_once(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    twice = [succeeded(taken, worker), failed(taken, worker)]
    assert storage.settle(worker, twice) == [taken.id]
    assert state_of(storage, taken.id) == State.SUCCESSFUL


def test_an_outcome_of_a_job_that_does_not_exist_is_lost(storage: Storage) -> None:
    worker = registered(storage)
    ghost = job()._replace(claim=worker.first_claim)
    assert storage.settle(worker, [succeeded(ghost, worker)]) == [ghost.id]
    assert storage.get_results([ghost.id]) == []


def test_lost_claims_are_returned_and_the_rest_of_the_batch_is_stored(storage: Storage) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(6))
    storage.release(worker, [taken[1], taken[4]])
    lost = storage.settle(worker, [succeeded(one, worker) for one in taken])
    assert sorted(lost) == sorted([taken[1].id, taken[4].id])
    for index, one in enumerate(taken):
        expected = State.READY if index in (1, 4) else State.SUCCESSFUL
        assert state_of(storage, one.id) == expected


def test_a_claim_that_another_worker_has_now_is_lost(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    slow, quick = registered(storage), registered(another, START + LEASE)
    (taken,) = claimed(storage, slow, 0)
    rescue_silent(another, START + LEASE)
    (again,) = another.claim(quick, ALL, 1)
    assert again.id == taken.id
    assert again.claim != taken.claim
    assert storage.settle(slow, [succeeded(taken, slow, value=b'"late"')]) == [taken.id]
    assert state_of(storage, taken.id) == State.RUNNING
    assert another.settle(quick, [succeeded(again, quick, value=b'"first"')]) == []
    assert storage.settle(slow, [succeeded(taken, slow, value=b'"late"')]) == [taken.id]
    assert stored(storage, taken.id).return_value == b'"first"'


def test_a_worker_cannot_settle_its_own_earlier_claim(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.release(worker, [taken])
    (again,) = storage.claim(worker, ALL, 1)
    assert storage.settle(worker, [succeeded(taken, worker)]) == [taken.id]
    assert storage.settle(worker, [succeeded(again, worker)]) == []


def test_settle_and_claim_does_both(storage: Storage) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(3))
    new = enqueued(storage, *range(10, 13))
    storage.release(worker, [taken[0]])
    lost, jobs = storage.settle_and_claim(worker, [succeeded(one, worker) for one in taken], ALL, 3)
    assert lost == [taken[0].id]
    assert len(jobs) == 3
    assert {*ids(jobs)} < {taken[0].id, *ids(new)}
    assert storage.stats().running == 3


def test_settle_and_claim_with_no_limit_claims_nothing(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    enqueued(storage, 1)
    assert storage.settle_and_claim(worker, [succeeded(taken, worker)], ALL, 0) == ([], [])
    assert sum(storage.stats().ready.values()) == 1


def test_settle_and_claim_does_not_give_back_what_it_settles(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    outcome = outcomes.postponed(taken, START)
    assert storage.settle_and_claim(worker, [outcome], ALL, 5) == ([], [])


def test_released_jobs_are_ready_as_if_they_had_never_been_claimed(storage: Storage) -> None:
    worker = registered(storage)
    new = enqueued(storage, *range(5), priority=4, queue_name="mail")
    taken = storage.claim(worker, ALL, 5)
    assert storage.release(worker, taken) == 5
    assert sorted(storage.get_results(ids(new))) == sorted(new)


@in_both_orders
def test_released_jobs_keep_their_order(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    enqueued(storage, 1, 3, 5)
    storage.release(worker, storage.claim(worker, ALL, 2))
    enqueued(storage, 2, 4)
    taken = storage.claim(worker, ALL, 10)
    assert [one.available_at - START for one in taken] == in_order(store.kind.order, range(1, 6))


def test_releasing_nothing_is_harmless(storage: Storage) -> None:
    assert storage.release(registered(storage), []) == 0


def test_only_claims_that_hold_are_released(storage: Storage) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(4))
    storage.settle(worker, [succeeded(taken[0], worker)])
    assert storage.release(worker, taken) == 3
    again = storage.claim(worker, ALL, 10)
    assert storage.release(worker, taken) == 0
    assert {state_of(storage, one.id) for one in again} == {State.RUNNING}
    assert state_of(storage, taken[0].id) == State.SUCCESSFUL


def test_a_job_can_be_released_and_claimed_again_and_again(storage: Storage) -> None:
    worker = registered(storage)
    new = enqueued(storage, *range(3))
    for _ in range(2 * 8 + 1):
        taken = storage.claim(worker, ALL, 10)
        assert sorted(ids(taken)) == sorted(ids(new))
        assert storage.release(worker, taken) == 3
    assert storage.claim(worker, ["no such queue"], 1) == []
    assert storage.stats().ready == {"default": 3}


def test_a_crash_after_a_release_leaves_the_job_alone(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.release(worker, [taken])
    assert storage.rescue(START, [died(worker, [taken])]) == []
    assert stored(storage, taken.id).errors is None


@pytest.mark.parametrize("outcome_of", [succeeded, failed, postponed, to_be_retried])
def test_settling_again_what_is_stored_is_no_loss(
    storage: Storage, outcome_of: Callable[[Job, Worker], Outcome]
) -> None:
    one = registered(storage)
    (taken,) = claimed(storage, one, 0)
    outcome = outcome_of(taken, one)
    assert storage.settle(one, [outcome]) == []
    before = stored(storage, taken.id)
    assert storage.settle(one, [outcome]) == []
    assert stored(storage, taken.id) == before
