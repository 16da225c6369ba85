"""heartbeat, retire and rescue: liveness comes from the lease, and nothing is lost."""

from typing import Any

import pytest

from mainspring.backends.database.rescue import LostJobs
from mainspring.backends.storage import Rescued, Storage, lease_ended
from mainspring.core import codec
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State, Worker
from mainspring.core.leases import Lease
from mainspring.core.outcomes import MAX_CRASHES
from mainspring.maintenance.rescuer import Rescuer
from tests.contract.jobs import (
    ALL,
    DAY,
    LEASE,
    LOST,
    START,
    STOPPED,
    as_stored,
    claimed,
    died,
    enqueued,
    ids,
    in_order,
    registered,
    rescue_silent,
    silent,
    state_of,
    stored,
    succeeded,
    worker,
)
from tests.contract.stores import Store, in_both_orders


def test_the_first_heartbeat_registers_and_the_next_ones_renew(storage: Storage) -> None:
    one = worker()
    assert not storage.heartbeat(one, START)
    assert storage.heartbeat(one, START + SECOND)
    assert storage.heartbeat(one, START + 2 * SECOND)
    assert list(storage.stats().workers) == [one.id]


def test_workers_are_registered_one_by_one(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    first, second = registered(storage), registered(another)
    assert list(storage.stats().workers) == sorted([first.id, second.id])


def test_a_retired_worker_is_off_the_register(storage: Storage) -> None:
    one = registered(storage)
    storage.retire(one)
    assert list(storage.stats().workers) == []
    assert not storage.heartbeat(one, START)


def test_retiring_twice_is_harmless(storage: Storage) -> None:
    one = registered(storage)
    storage.retire(one)
    storage.retire(one)
    storage.retire(worker())


def test_nothing_is_rescued_while_the_lease_lasts(storage: Storage) -> None:
    one = registered(storage)
    (taken,) = claimed(storage, one, 0)
    assert rescue_silent(storage, START + LEASE - 1) == []
    assert stored(storage, taken.id) == taken


def test_a_renewed_lease_lasts_longer(storage: Storage) -> None:
    one = registered(storage)
    claimed(storage, one, 0)
    storage.heartbeat(one, START + LEASE - 1)
    assert rescue_silent(storage, START + 2 * LEASE - 2) == []
    assert len(rescue_silent(storage, START + 2 * LEASE - 1)) == 1


def test_leases_tell_when_each_worker_was_heard_of(store: Store) -> None:
    one, other = registered(store.storage), registered(store.storage, START + SECOND)
    store.storage.heartbeat(one, START + 2 * SECOND)
    expected = [
        Lease(one.id, START + 2 * SECOND, START + 2 * SECOND + LEASE),
        Lease(other.id, START + SECOND, START + SECOND + LEASE),
    ]
    assert sorted(store.another_process().leases()) == sorted(expected)
    assert store.other_alias.leases() == []


def test_a_worker_that_renews_its_lease_after_the_look_is_left_alone(store: Store) -> None:
    """Also where its clock was set back meanwhile, so that the new lease ends before the old."""
    storage, another = store.storage, store.another_process()
    for moment in (START + LEASE, START - DAY):
        one = registered(storage)
        (taken,) = claimed(storage, one, 0)
        lost = silent(another, START + LEASE)
        storage.heartbeat(one, moment)
        assert another.rescue(START + LEASE, lost) == []
        assert storage.settle(one, [succeeded(taken, one)]) == []


def test_when_the_lease_has_ended_all_jobs_become_ready_with_an_error(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    one = registered(storage)
    taken = claimed(storage, one, 0, 1)
    now = START + LEASE
    rescued = rescue_silent(another, now)
    error = lease_ended(Lease(one.id, START, now)).error
    expected = [Rescued(job.id, job.task_path, one.id, State.READY, True, error) for job in taken]
    assert sorted(rescued) == sorted(expected)
    for job in taken:
        found = stored(storage, job.id)
        assert found.state == State.READY
        assert found.claim is None
        assert found.available_at == job.available_at
        assert found.finished_at is None
        assert found.started_at == found.last_attempted_at == START
        assert codec.decode(found.worker_ids or b"[]") == [one.id]
        ((path, text, *where),) = codec.decode(found.errors or b"[]")
        assert path == "mainspring.exceptions.WorkerLost"
        assert one.id in text
        assert "lease" in text
        assert where == [START, now, one.id]


def test_a_rescued_worker_is_off_the_register(storage: Storage) -> None:
    one = registered(storage)
    rescue_silent(storage, START + LEASE)
    assert list(storage.stats().workers) == []
    assert not storage.heartbeat(one, START + LEASE + SECOND)
    assert storage.heartbeat(one, START + LEASE + 2 * SECOND)


def test_only_the_worker_whose_lease_ended_is_rescued(storage: Storage) -> None:
    gone, alive = registered(storage), registered(storage, START + SECOND)
    (lost,) = claimed(storage, gone, 0)
    (kept,) = claimed(storage, alive, 1)
    assert [one.job_id for one in rescue_silent(storage, START + LEASE)] == [lost.id]
    assert state_of(storage, kept.id) == State.RUNNING
    assert list(storage.stats().workers) == [alive.id]


def test_of_a_dead_worker_what_had_started_keeps_an_error_and_the_rest_nothing(
    store: Store,
) -> None:
    storage, another = store.storage, store.another_process()
    one = registered(storage)
    new = enqueued(storage, 0, 1, 2)
    taken = {job.id: job for job in storage.claim(one, ALL, 10)}
    running = taken[new[1].id]
    rescued = {r.job_id: r for r in another.rescue(START + SECOND, [died(one, [running])])}
    assert {r.job_id: r.was_started for r in rescued.values()} == {
        new[0].id: False,
        new[1].id: True,
        new[2].id: False,
    }
    assert {r.state for r in rescued.values()} == {State.READY}
    assert stored(storage, new[0].id) == new[0]
    assert stored(storage, new[2].id) == new[2]
    found = stored(storage, running.id)
    assert codec.decode(found.errors or b"[]") == [as_stored(LOST, one, START, START + SECOND)]
    assert codec.decode(found.worker_ids or b"[]") == [one.id]
    assert found.last_attempted_at == START


def test_a_worker_known_to_be_dead_is_rescued_before_its_lease_ends(storage: Storage) -> None:
    one = registered(storage)
    (taken,) = claimed(storage, one, 0)
    assert len(storage.rescue(START, [died(one)])) == 1
    assert state_of(storage, taken.id) == State.READY
    assert storage.rescue(START, [died(one)]) == []


def test_a_dead_worker_that_nobody_knows_is_no_error(storage: Storage) -> None:
    assert storage.rescue(START, [died(worker())]) == []


def test_what_a_dead_worker_had_settled_stays_settled(storage: Storage) -> None:
    one = registered(storage)
    done, running = claimed(storage, one, 0, 1)
    storage.settle(one, [succeeded(done, one)])
    assert ids_of(storage.rescue(START, [died(one, [done, running])])) == [running.id]
    assert state_of(storage, done.id) == State.SUCCESSFUL


def ids_of(rescued: list[Rescued]) -> list[str]:
    return [one.job_id for one in rescued]


def test_a_rescue_is_done_once_however_many_try(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    one = registered(storage)
    claimed(storage, one, *range(5))
    assert (
        len(rescue_silent(storage, START + LEASE)) + len(rescue_silent(another, START + LEASE)) == 5
    )


@in_both_orders
def test_a_rescued_job_keeps_its_place_in_the_order(store: Store) -> None:
    storage, one = store.storage, registered(store.storage)
    claimed(storage, one, 1, 3, 5)
    enqueued(storage, 2, 4)
    rescue_silent(storage, START + LEASE)
    taken = storage.claim(registered(storage), ALL, 10)
    assert [job.available_at - START for job in taken] == in_order(store.kind.order, range(1, 6))


def test_a_settle_after_a_rescue_is_fenced(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    one = registered(storage)
    taken = claimed(storage, one, 0, 1)
    rescue_silent(another, START + LEASE)
    assert sorted(storage.settle(one, [succeeded(job, one) for job in taken])) == sorted(ids(taken))
    assert storage.release(one, taken) == 0
    assert {state_of(storage, job.id) for job in taken} == {State.READY}


def test_a_worker_that_was_given_up_can_go_on(storage: Storage) -> None:
    one = registered(storage)
    claimed(storage, one, 0)
    rescue_silent(storage, START + LEASE)
    storage.heartbeat(one, START + LEASE)
    (again,) = storage.claim(one, ALL, 10)
    assert storage.settle(one, [succeeded(again, one)]) == []


def test_the_last_of_too_many_crashes_fails_the_job(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    dead, errors = [], []
    for crash in range(1, MAX_CRASHES + 1):
        one = registered(storage)
        dead.append(one.id)
        errors.append(as_stored(LOST, one, START, START + crash * SECOND))
        taken = storage.claim(one, ALL, 1)
        now = START + crash * SECOND
        (rescued,) = storage.rescue(now, [died(one, taken)])
        assert rescued.state == (State.FAILED if crash == MAX_CRASHES else State.READY)
    found = stored(storage, new.id)
    assert found.state == State.FAILED
    assert found.finished_at == START + MAX_CRASHES * SECOND
    assert codec.decode(found.errors or b"[]") == errors
    assert codec.decode(found.worker_ids or b"[]") == dead
    assert storage.claim(registered(storage), ALL, 1) == []


def test_leases_that_end_count_as_crashes(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    for _ in range(MAX_CRASHES):
        storage.claim(registered(storage), ALL, 1)
        rescue_silent(storage, START + LEASE)
    assert state_of(storage, new.id) == State.FAILED


@pytest.mark.parametrize("started", [True, False])
def test_what_is_no_crash_never_fails_a_job(storage: Storage, started: bool) -> None:
    """A shutdown that ran out of time, and a crash while the job only waited, do not count."""
    (new,) = enqueued(storage, 0)
    expected = []
    for _ in range(2 * MAX_CRASHES):
        one = registered(storage)
        taken = storage.claim(one, ALL, 1)
        expected += [as_stored(STOPPED, one, START, START)] if started else []
        end = died(one, taken, STOPPED) if started else died(one)
        assert [r.state for r in storage.rescue(START, [end])] == [State.READY]
    found = stored(storage, new.id)
    assert found.state == State.READY
    assert codec.decode(found.errors or b"[]") == expected


def test_a_job_that_succeeds_after_crashes_keeps_its_errors(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    first, second = registered(storage), registered(storage)
    storage.rescue(START, [died(first, storage.claim(first, ALL, 1))])
    (again,) = storage.claim(second, ALL, 1)
    storage.settle(second, [succeeded(again, second)])
    found = stored(storage, new.id)
    assert found.state == State.SUCCESSFUL
    assert codec.decode(found.errors or b"[]") == [as_stored(LOST, first, START, START)]
    assert codec.decode(found.worker_ids or b"[]") == [first.id, second.id]
    assert found.started_at == START


def test_what_had_ended_counts_an_attempt_and_no_crash(storage: Storage) -> None:
    """It is run again, visibly, and is no reason for the worker's death."""
    (first,) = enqueued(storage, 0)
    for turn in range(MAX_CRASHES + 1):
        one = registered(storage)
        (taken,) = storage.claim(one, ALL, 1)
        end = died(one)._replace(ended={taken.id: START + turn})
        (rescued,) = storage.rescue(START, [end])
        assert (rescued.state, rescued.was_started) == (State.READY, True)
    job = stored(storage, first.id)
    paths = [path for path, *_ in codec.decode(job.errors or b"")]
    assert paths == ["mainspring.exceptions.OutcomeLost"] * (MAX_CRASHES + 1)
    assert job.last_attempted_at == START + MAX_CRASHES


def test_a_dead_worker_is_rescued_though_its_renewal_is_stored_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server stores what a process has sent also after that was killed."""
    storage, another = store.storage, store.another_process()
    one = registered(storage)
    (taken,) = claimed(storage, one, 0)
    find = LostJobs.find

    def find_and_renew(*arguments: Any) -> Any:
        found = find(*arguments)
        storage.heartbeat(one, START + SECOND)
        return found

    monkeypatch.setattr(LostJobs, "find", find_and_renew)
    assert [one.job_id for one in another.rescue(START, [died(one, [taken])])] == [taken.id]
    assert another.leases() == []


def test_who_is_registered_after_its_death_is_rescued_before_it_is_forgotten(
    storage: Storage,
) -> None:
    """Likewise, of its registration."""
    one = worker()
    left = {one.id: died(one)}
    rescuer = Rescuer(
        storage,
        find_lost=lambda: list(left.values()),
        forget=lambda lost: left.pop(lost.worker_id),
        is_steady=lambda: True,
        lease=LEASE,
    )
    rescuer.step(START)
    storage.heartbeat(one, START)
    rescuer.step(START)
    assert storage.leases() == []
    assert left == {}


def test_claims_of_who_is_not_registered_are_rescued_at_the_second_look(store: Store) -> None:
    """Whatever its number is: below all, between, or above all that are registered."""
    if not store.kind.server and "sqlite" not in str(store.kind):
        pytest.skip("nobody else has claims there")
    storage = store.storage
    for token in (1_000_000, 2_000_000):
        storage.heartbeat(Worker(f"alive-{token}", token), START)
    tokens = (999_999, 1_000_001, 1_999_999, 2_000_001, 2**31 - 1)
    gone = [Worker(f"gone-{token}", token) for token in tokens]
    taken = [claimed(storage, one, place)[0] for place, one in enumerate(gone)]
    assert storage.rescue(START) == []
    assert set(ids_of(storage.rescue(START))) == set(ids(taken))
