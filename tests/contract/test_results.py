"""get_results, stats, prune, aliases and closing."""

import pytest

from mainspring.backends.storage import Pruned, Stats, Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from tests.contract.jobs import (
    ALL,
    DAY,
    LEASE,
    START,
    claimed,
    deferred,
    enqueued,
    failed,
    finish,
    ids,
    job,
    registered,
    rescue_silent,
    state_of,
    succeeded,
)
from tests.contract.stores import Store, with_threads


def test_only_results_that_exist_are_returned(storage: Storage) -> None:
    new = enqueued(storage, 0, 1)
    assert storage.get_results([]) == []
    assert storage.get_results(["", "no such id", job().id]) == []
    assert sorted(storage.get_results([*ids(new), job().id])) == sorted(new)


def test_a_result_that_is_named_twice_is_returned_once(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    assert storage.get_results([new.id, new.id]) == [new]


def test_many_results_are_returned_at_once(storage: Storage) -> None:
    new = enqueued(storage, *range(3000))
    assert sorted(storage.get_results(ids(new))) == sorted(new)


def test_stats_of_an_empty_store(storage: Storage) -> None:
    assert storage.stats() == Stats({}, 0, 0, None, [], 0, [])


def test_stats_count_what_is_not_finished(storage: Storage) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(4))
    storage.settle(worker, [succeeded(taken[0], worker), failed(taken[1], worker)])
    enqueued(storage, 30, 20, 40, priority=5, queue_name="mail")
    enqueued(storage, 50)
    (gone,) = enqueued(storage, 5)
    storage.cancel([gone.id])
    storage.enqueue([deferred(SECOND), deferred(DAY)])
    stats = storage.stats()
    assert stats == Stats({"mail": 3, "default": 1}, 2, 2, START + 20, [worker.id], 0, [])


def test_two_aliases_in_one_store_do_not_see_each_other(store: Store) -> None:
    ours, theirs = store.storage, store.other_alias
    mine, other = registered(ours), registered(theirs)
    (job_of_ours,) = enqueued(ours, 0)
    (job_of_theirs,) = enqueued(theirs, 1, backend="other", queue_name="mail")
    waiting = deferred(0, backend="other")
    theirs.enqueue([waiting])

    assert ours.get_results(ids([job_of_ours, job_of_theirs])) == [job_of_ours]
    assert ours.stats() == Stats({"default": 1}, 0, 0, START, [mine.id], 0, [])
    assert theirs.stats() == Stats({"mail": 1}, 1, 0, START + 1, [other.id], 0, [])
    assert ours.stage(START + SECOND).staged == 0
    assert ids(ours.claim(mine, ["mail", "*"], 10)) == [job_of_ours.id]
    assert ids(theirs.claim(other, ALL, 10)) == [job_of_theirs.id]
    assert [one.worker_id for one in rescue_silent(ours, START + LEASE)] == [mine.id]
    assert state_of(theirs, job_of_theirs.id) == State.RUNNING
    assert theirs.stage(START + SECOND).staged == 1


def test_pruning_does_not_touch_another_aliases_results(store: Store) -> None:
    ours, theirs = store.storage, store.other_alias
    worker = registered(theirs)
    done = finish(theirs, worker, 0, finished_at=SECOND, backend="other")
    assert ours.prune(START + DAY, 100) == Pruned(0, True)
    assert theirs.get_results([done.id]) != []


def test_results_that_finished_before_the_moment_are_deleted(storage: Storage) -> None:
    worker = registered(storage)
    old = finish(storage, worker, 0, finished_at=10 * SECOND - 1)
    edge = finish(storage, worker, 1, finished_at=10 * SECOND)
    late = finish(storage, worker, 2, finished_at=20 * SECOND)
    assert storage.prune(START + 10 * SECOND, 100) == Pruned(1, True)
    left = ids(storage.get_results(ids([old, edge, late])))
    assert sorted(left) == sorted([edge.id, late.id])


def test_failed_and_cancelled_results_are_deleted_as_well(storage: Storage) -> None:
    worker = registered(storage)
    (bad,) = claimed(storage, worker, 0)
    storage.settle(worker, [failed(bad, worker)])
    (gone,) = enqueued(storage, 1)
    storage.cancel([gone.id])  # finishes now, long after the start
    assert storage.prune(START + DAY, 100) == Pruned(1, True)
    assert storage.get_results([bad.id]) == []
    assert storage.prune(2**60, 100) == Pruned(1, True)
    assert storage.get_results([gone.id]) == []


def test_what_is_not_finished_is_never_deleted(storage: Storage) -> None:
    worker = registered(storage)
    (running,) = claimed(storage, worker, 0)
    (ready,) = enqueued(storage, 1)
    waiting = deferred(SECOND)
    storage.enqueue([waiting])
    assert storage.prune(START + 1000 * DAY, 100) == Pruned(0, True)
    assert len(storage.get_results(ids([running, ready, waiting]))) == 3


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
def test_pruning_goes_in_small_steps_until_it_is_done(storage: Storage, limit: int) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(10))
    storage.settle(worker, [succeeded(one, worker) for one in taken])
    deleted = 0
    for _ in range(12):
        step = storage.prune(START + DAY, limit)
        assert step.deleted <= limit
        deleted += step.deleted
        if step.is_done:
            break
    assert deleted == 10
    assert storage.get_results(ids(taken)) == []


def test_pruning_goes_past_what_it_must_leave_and_starts_again_later(storage: Storage) -> None:
    """Old jobs that are kept, such as one that runs for long, do not hold it up."""
    worker = registered(storage)
    kept = claimed(storage, worker, *range(6))
    done = claimed(storage, worker, *range(100, 106))
    storage.settle(worker, [succeeded(one, worker) for one in done])
    prune_all(storage, START + DAY, 4)
    assert storage.get_results(ids(done)) == []
    assert len(storage.get_results(ids(kept))) == 6
    storage.settle(worker, [succeeded(one, worker) for one in kept])
    prune_all(storage, START + DAY, 4)
    assert storage.get_results(ids(kept)) == []


def prune_all(storage: Storage, before: int, limit: int) -> None:
    for _ in range(20):
        if storage.prune(before, limit).is_done:
            return
    raise AssertionError("pruning does not come to its end")


def test_a_pruned_result_is_no_longer_cancelled_settled_or_released(storage: Storage) -> None:
    worker = registered(storage)
    done = finish(storage, worker, 0, finished_at=SECOND)
    storage.prune(START + DAY, 10)
    assert storage.cancel([done.id]) == []
    assert storage.settle(worker, [succeeded(done, worker)]) == [done.id]
    assert storage.release(worker, [done]) == 0


def test_the_identity_tells_the_store_and_the_alias(store: Store) -> None:
    assert store.storage.identity == store.another_process().identity
    assert store.storage.identity != store.other_alias.identity


def test_the_description_is_one_line_for_people(storage: Storage) -> None:
    text = storage.describe()
    assert "memory" in text or "database 'store' (" in text
    assert "\n" not in text


def test_closing_twice_is_harmless_and_what_is_stored_stays(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    storage.wait_for_work(0)
    storage.close_thread()
    storage.close()
    storage.close()
    assert ids(storage.get_results([new.id])) == [new.id]


@with_threads
def test_closing_a_thread_leaves_the_others_alone(store: Store) -> None:
    storage = store.storage
    worker = registered(storage)
    enqueued(storage, 0)

    def use_and_close() -> None:
        storage.stage(START)
        storage.close_thread()

    store.in_thread(use_and_close).result(10)
    assert len(storage.claim(worker, ALL, 1)) == 1
