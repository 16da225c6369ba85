"""cancel and claims_held: a call that is not to run any more, wherever it is."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.tasks import TaskResultStatus
from django.utils import timezone

from mainspring import TaskResult
from mainspring.core import clock
from mainspring.core.jobs import State
from mainspring.runtime import recaller
from mainspring.signals import Cancelled, task_cancelled
from tests.contract.jobs import (
    ALL,
    START,
    claimed,
    died,
    enqueued,
    failed,
    finish,
    ids,
    job,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_threads
from tests.contract.tasks import (
    add,
    cancel_itself,
    cancel_itself_soon,
    fail,
    flaky,
    released,
    run_until_told,
    running,
    wait_until_told,
)
from tests.contract.working import InlineWorker, make_due, work_off

CANCELLED = "mainspring.exceptions.TaskCancelled"


def ready(store: Store) -> TaskResult[Any]:
    return add.enqueue(1)


def scheduled(store: Store) -> TaskResult[Any]:
    return add.using(run_after=timezone.now() + timedelta(days=1)).enqueue(1)


def to_be_retried(store: Store) -> TaskResult[Any]:
    result = flaky.enqueue(9)
    work_off(store)
    return result


def claimed_by_a_worker(store: Store) -> TaskResult[Any]:
    result = add.enqueue(1)
    store.storage.claim(registered(store.storage), ALL, 1)
    return result.refresh()


def sync_cancel(result: TaskResult[Any]) -> bool:
    return result.cancel()


def async_cancel(result: TaskResult[Any]) -> bool:
    return async_to_sync(result.acancel)()


both = pytest.mark.parametrize("cancel", [sync_cancel, async_cancel], ids=["sync", "async"])


@both
@pytest.mark.parametrize("waiting", [ready, scheduled, to_be_retried, claimed_by_a_worker])
def test_what_has_not_finished_is_cancelled_once_and_for_all(
    store: Store,
    waiting: Callable[[Store], TaskResult[Any]],
    cancel: Callable[[TaskResult[Any]], bool],
) -> None:
    result = waiting(store)
    before = timezone.now()
    assert cancel(result)
    found = result.refresh()
    assert (found.status, found.is_finished) == (TaskResultStatus.FAILED, True)
    assert found.errors[-1].exception_class_path == CANCELLED
    assert found.finished_at is not None
    assert before <= found.finished_at <= timezone.now()
    assert (found.args, found.attempts) == (result.args, result.refresh().attempts)
    with pytest.raises(ValueError, match="Task failed"):
        _ = found.return_value

    assert not cancel(result)
    assert not cancel(found)
    assert tuple(result.refresh()) == tuple(found)
    assert store.storage.cancel([result.id]) == []
    make_due(store)
    work_off(store)
    assert tuple(result.refresh()) == tuple(found)


@both
@pytest.mark.parametrize("task", [add.using(max_attempts=1), fail], ids=["success", "failure"])
def test_what_has_finished_stays_as_it_is(
    store: Store, task: Any, cancel: Callable[[TaskResult[Any]], bool]
) -> None:
    result = task.enqueue(1)
    work_off(store)
    found = result.refresh()
    assert not cancel(result)
    assert not cancel(found)
    assert tuple(result.refresh()) == tuple(found)


def test_what_was_deleted_is_not_cancelled(store: Store) -> None:
    result = add.enqueue(1)
    work_off(store)
    while not store.storage.prune(2**60, 10).is_done:
        pass
    assert not result.cancel()


def test_a_wait_for_it_is_over(store: Store) -> None:
    result = claimed_by_a_worker(store)
    result.cancel()
    assert result.wait(timeout=0).status == TaskResultStatus.FAILED
    assert async_to_sync(result.await_result)(0).status == TaskResultStatus.FAILED


@with_threads
def test_a_wait_ends_when_what_runs_is_cancelled(store: Store) -> None:
    result = claimed_by_a_worker(store)
    cancelling = store.in_thread(result.cancel)
    assert result.wait(10).status == TaskResultStatus.FAILED
    assert cancelling.result(10)


def test_it_tells_whether_it_ran(store: Store) -> None:
    for waiting, told in ((ready, "before it started"), (claimed_by_a_worker, "while it ran")):
        result = waiting(store)
        result.cancel()
        assert told in result.refresh().errors[-1].traceback


def test_another_alias_does_not_cancel_it(store: Store) -> None:
    result = add.enqueue(1)
    assert not result._replace(backend="other").cancel()
    assert result.refresh().status == TaskResultStatus.READY


@on_databases
def test_cancelling_is_part_of_the_transaction(store: Store) -> None:
    result = claimed_by_a_worker(store)
    (job,) = store.storage.get_results([result.id])
    with transaction.atomic(STORE):
        assert result.cancel()
        assert result.refresh().status == TaskResultStatus.FAILED
        transaction.set_rollback(True, using=STORE)
    assert result.refresh().status == TaskResultStatus.RUNNING
    assert store.storage.claims_held([job]) == {result.id}


# What was running


@pytest.mark.parametrize(
    "enqueue",
    [
        lambda: cancel_itself.enqueue("return"),
        lambda: cancel_itself.enqueue("fail"),
        cancel_itself_soon.enqueue,
    ],
    ids=["returns", "fails", "async"],
)
def test_whatever_it_comes_to_is_dropped(
    store: Store, enqueue: Callable[[], TaskResult[Any]]
) -> None:
    result = enqueue()
    worker = InlineWorker(store)
    worker.work_off()
    assert worker.lost == [result.id]
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 0)
    assert [error.exception_class_path for error in found.errors] == [CANCELLED]
    make_due(store)
    work_off(store)
    assert tuple(result.refresh()) == tuple(found)


def test_the_rest_of_what_its_worker_has_is_left_alone(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    taken = claimed(storage, worker, *range(4))
    storage.cancel([taken[1].id])
    assert storage.claims_held(taken) == {taken[0].id, taken[2].id, taken[3].id}
    settled = [succeeded(one, worker) for one in taken[:2]]
    assert storage.settle(worker, settled) == [taken[1].id]
    assert storage.release(worker, taken[1:3]) == 1
    (rescued,) = storage.rescue(START, [died(worker, taken[1:])])
    assert rescued.job_id == taken[3].id


def test_a_job_is_cancelled_or_settled_and_never_both(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    first, second = claimed(storage, worker, 0, 1)
    storage.settle(worker, [succeeded(first, worker)])
    assert storage.cancel(ids([first, second])) == [second.id]
    assert storage.settle(worker, [succeeded(second, worker)]) == [second.id]
    assert state_of(storage, first.id) == State.SUCCESSFUL
    assert state_of(storage, second.id) == State.CANCELLED


@with_threads
def test_so_it_is_where_both_come_at_once(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    taken = claimed(storage, worker, *range(100))

    def cancel_all() -> list[str]:
        return [job_id for one in taken for job_id in storage.cancel([one.id])]

    cancelling = store.in_thread(cancel_all)
    lost = [
        job_id
        for start in range(0, 100, 5)
        for job_id in storage.settle(
            worker, [succeeded(one, worker) for one in reversed(taken[start : start + 5])]
        )
    ]
    cancelled = cancelling.result(60)
    assert sorted(lost) == sorted(cancelled)
    for one in storage.get_results(ids(taken)):
        assert one.state == (State.CANCELLED if one.id in cancelled else State.SUCCESSFUL)
        assert one.claim is None


@with_threads
@pytest.mark.parametrize("task", [run_until_told, wait_until_told], ids=["sync", "async"])
def test_it_is_told_to_end(store: Store, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recaller, "_LONG", 0)
    running.clear()
    released.clear()
    result = task.enqueue()
    other = add.enqueue(1)
    worker = InlineWorker(store)
    working = store.in_thread(worker.work_off)
    try:
        assert running.wait(10)
        worker.recaller.step(clock.now())
        assert worker.guard.long_running(0) != []  # still there, as it holds its claim
        assert result.cancel()
        worker.recaller.step(clock.now())
        working.result(10)
    finally:
        released.set()
    assert worker.lost == [result.id]
    found = result.refresh()
    assert found.status == TaskResultStatus.FAILED
    assert [error.exception_class_path for error in found.errors] == [CANCELLED]
    assert other.refresh().return_value == 1


# Looking at claims


def test_a_claim_holds_until_the_job_is_settled(storage: Any) -> None:
    worker = registered(storage)
    good, bad, later, back = taken = claimed(storage, worker, *range(4))
    assert storage.claims_held(taken) == set(ids(taken))
    storage.settle(worker, [succeeded(good, worker), failed(bad, worker)])
    storage.settle(worker, [failed(later, worker, retry_after=9)])
    storage.release(worker, [back])
    assert storage.claims_held(taken) == set()


def test_a_claim_that_another_worker_has_now_does_not_hold(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    slow, quick = registered(storage), registered(another)
    (taken,) = claimed(storage, slow, 0)
    another.rescue(START, [died(slow)])
    assert storage.claims_held([taken]) == set()
    (again,) = another.claim(quick, ALL, 1)
    assert storage.claims_held([taken]) == set()
    assert storage.claims_held([again]) == another.claims_held([again]) == {taken.id}


def test_an_earlier_claim_of_the_same_worker_does_not_hold(storage: Any) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.release(worker, [taken])
    (again,) = storage.claim(worker, ALL, 1)
    assert storage.claims_held([taken]) == set()
    assert storage.claims_held([again]) == {taken.id}


def test_what_is_not_claimed_or_not_there_has_no_claim(storage: Any) -> None:
    worker = registered(storage)
    (new,) = enqueued(storage, 0)
    ghost = job()._replace(claim=worker.first_claim)
    done = finish(storage, worker, 1, finished_at=2)
    assert storage.claims_held([]) == set()
    assert storage.claims_held([new, ghost, done]) == set()


def test_many_claims_are_looked_at_at_once(storage: Any) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, *range(1000))
    storage.cancel(ids(taken[::10]))
    assert storage.claims_held(taken) == set(ids(taken)) - set(ids(taken[::10]))


# Signals


@pytest.fixture
def details() -> Iterator[list[Any]]:
    """Who sent ``task_cancelled``, and the details that came with it."""
    told: list[Any] = []

    def receive(sender: type, details: Any, **_: Any) -> None:
        told.append((sender, details))

    task_cancelled.connect(receive)
    yield told
    task_cancelled.disconnect(receive)


def test_who_cancels_tells_so_once(store: Store, details: list[Any]) -> None:
    result = claimed_by_a_worker(store)
    result.cancel()
    result.cancel()
    ((sender, told),) = details
    assert sender is type(store.backend)
    assert isinstance(told, Cancelled)
    assert tuple(told.task_result) == tuple(result.refresh())


def test_what_has_finished_is_not_told_of(store: Store, details: list[Any]) -> None:
    result = add.enqueue(1)
    work_off(store)
    result.cancel()
    assert details == []


def test_a_cancelled_job_has_no_claim_and_is_pruned_in_its_time(storage: Any) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.cancel([taken.id])
    assert stored(storage, taken.id).claim is None
    assert storage.prune(clock.now() + 1, 10).deleted == 1
    assert storage.get_results([taken.id]) == []
