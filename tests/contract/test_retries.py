"""Retries: again after a failure, as often and as late as the task says."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django
import pytest
from django.tasks import TaskResultStatus
from django.utils import timezone

from mainspring import TaskResult, fixed, linear
from mainspring.backends.storage import Staged
from mainspring.core import clock
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.signals import Retried, task_retried
from tests.contract.jobs import (
    ALL,
    DAY,
    START,
    claimed,
    died,
    failed,
    ids,
    in_order,
    job,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.stores import Kind, Store, Stores, in_both_orders
from tests.contract.tasks import (
    add,
    ask,
    fail,
    fail_for_ever,
    fail_hourly,
    fail_later_and_later,
    fail_twice,
    flaky,
    flaky_soon,
)
from tests.contract.working import InlineWorker, make_due, work_off

MINUTE = timedelta(minutes=1)

retried = pytest.mark.parametrize("task", [flaky, flaky_soon], ids=["sync", "async"])


def job_of(store: Store, result: TaskResult[Any]) -> Job:
    return stored(store.storage, result.id)


def available_at(store: Store, result: TaskResult[Any]) -> datetime:
    return clock.to_datetime(job_of(store, result).available_at)


def paths(result: TaskResult[Any]) -> list[str]:
    return [error.exception_class_path for error in result.errors]


@retried
def test_a_failing_task_is_retried_after_its_backoff_and_succeeds(store: Store, task: Any) -> None:
    result = task.enqueue(2, "done")
    before = timezone.now()
    workers = [work_off(store)]

    waiting = result.refresh()
    assert job_of(store, result).state == State.SCHEDULED
    assert waiting.status == TaskResultStatus.READY
    assert (waiting.attempts, waiting.finished_at, waiting.is_finished) == (1, None, False)
    (error,) = waiting.errors
    assert available_at(store, result) == error.finished_at + MINUTE

    make_due(store)
    workers.append(work_off(store))
    make_due(store)
    workers.append(work_off(store))

    found = result.refresh()
    assert (found.status, found.return_value) == (TaskResultStatus.SUCCESSFUL, ["done", {}])
    assert (found.attempts, found.worker_ids) == (3, workers)
    first, second = found.errors
    for number, one in enumerate((first, second)):
        assert one.exception_class is ValueError
        assert f"ValueError: attempt {number + 1}" in one.traceback
        assert one.worker_id == workers[number]
    moments = [before, first.started_at, first.finished_at, second.started_at, second.finished_at]
    assert [*moments, found.last_attempted_at, found.finished_at] == sorted(
        [*moments, found.last_attempted_at, found.finished_at]
    )
    assert found.started_at == first.started_at


@retried
def test_the_last_attempt_that_fails_fails_the_call(store: Store, task: Any) -> None:
    result = task.enqueue(9)
    for _ in range(3):
        assert not result.refresh().is_finished
        work_off(store)
        make_due(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 3)
    assert [error.traceback.splitlines()[-1] for error in found.errors] == [
        f"ValueError: attempt {number}" for number in (1, 2, 3)
    ]
    assert found.finished_at == found.errors[-1].finished_at
    assert store.storage.claim(registered(store.storage), ALL, 10) == []


def test_by_default_there_is_one_attempt(store: Store) -> None:
    result = fail.enqueue()
    work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts, len(found.errors)) == (TaskResultStatus.FAILED, 1, 1)


def test_one_call_can_have_more_attempts(store: Store) -> None:
    result = fail.using(max_attempts=2, backoff=0).enqueue()
    other = fail.enqueue()
    work_off(store)
    assert (result.refresh().attempts, other.refresh().attempts) == (2, 1)
    assert paths(result.refresh()) == ["builtins.ValueError"] * 2


def test_one_call_can_have_fewer(store: Store) -> None:
    single, usual = (
        flaky.using(max_attempts=1).enqueue(9),
        flaky.using(max_attempts=None).enqueue(9),
    )
    work_off(store)
    for result in (single, usual):
        assert result.refresh().status == TaskResultStatus.FAILED
        assert result.refresh().attempts == 1


def test_one_call_can_have_another_backoff(store: Store) -> None:
    waits: dict[Any, timedelta] = {
        90: timedelta(seconds=90),
        timedelta(hours=1): timedelta(hours=1),
        linear(7): timedelta(seconds=7),
    }
    results = {flaky.using(backoff=backoff).enqueue(9): wait for backoff, wait in waits.items()}
    work_off(store)
    for result, wait in results.items():
        (error,) = result.refresh().errors
        assert available_at(store, result) == error.finished_at + wait


def test_what_many_calls_carry_they_carry_each(store: Store) -> None:
    results = fail.using(max_attempts=2, backoff=0).enqueue_many([[], ["again"]])
    work_off(store)
    assert [result.refresh().attempts for result in results] == [2, 2]


def test_the_settings_say_what_holds_for_tasks_that_do_not(
    stores: Stores, kind: Kind, tmp_path: Path
) -> None:
    with stores.open(kind, tmp_path, MAX_ATTEMPTS=2, BACKOFF=fixed(5)) as store:
        result, own = fail.enqueue(), flaky.enqueue(9)
        work_off(store)
        (error,) = result.refresh().errors
        assert available_at(store, result) == error.finished_at + timedelta(seconds=5)
        (error,) = own.refresh().errors
        assert available_at(store, own) == error.finished_at + MINUTE
        make_due(store)
        work_off(store)
        assert result.refresh().status == TaskResultStatus.FAILED
        assert not own.refresh().is_finished


# Where a retry stands


def test_a_retry_becomes_ready_at_its_moment(store: Store) -> None:
    result = flaky.enqueue(1)
    work_off(store)
    due = job_of(store, result).available_at
    assert store.storage.stage(due - 1) == Staged(0, due)
    assert store.storage.stage(due) == Staged(1, None)
    assert ids(store.storage.claim(registered(store.storage), ALL, 10)) == [result.id]


def test_a_retry_without_a_wait_is_ready_at_once(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    (taken,) = claimed(storage, worker, 0)
    assert storage.settle(worker, [failed(taken, worker, SECOND, retry_after=0)]) == []
    found = stored(storage, taken.id)
    assert (found.state, found.available_at) == (State.READY, START + SECOND)
    assert storage.stats().ready == {"default": 1}
    assert storage.stats().oldest_ready_at == START + SECOND
    (again,) = storage.claim(worker, ALL, 10)
    assert (again.id, again.errors, again.worker_ids) == (taken.id, found.errors, found.worker_ids)
    assert again.claim != taken.claim
    assert storage.settle(worker, [succeeded(taken, worker)]) == [taken.id]
    assert storage.settle(worker, [succeeded(again, worker)]) == []


def test_it_can_be_claimed_again_in_the_same_round_trip(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    (taken,) = claimed(storage, worker, 0)
    outcome = failed(taken, worker, retry_after=0)
    lost, (again,) = storage.settle_and_claim(worker, [outcome], ALL, 10)
    assert (lost, again.id, again.errors) == ([], taken.id, outcome.errors)


def test_a_retry_keeps_all_but_its_moment(store: Store) -> None:
    run_after = timezone.now() - timedelta(hours=1)
    result = flaky.using(
        priority=7, queue_name="mail", run_after=run_after, max_attempts=5, metadata={"a": 1}
    ).enqueue(1, [2], key="value")
    before = job_of(store, result)
    work_off(store)
    make_due(store)
    after = job_of(store, result)
    kept = (
        "task_path",
        "queue_name",
        "priority",
        "arguments",
        "run_after",
        "enqueued_at",
        "options",
        "metadata",
    )
    for name in kept:
        assert getattr(after, name) == getattr(before, name)
    assert store.storage.claim(registered(store.storage), ["default"], 10) == []
    (taken,) = store.storage.claim(registered(store.storage), ["mail"], 10)
    assert taken.id == result.id
    assert result.refresh().run_after == run_after


@in_both_orders
def test_a_retry_takes_its_place_by_the_moment_of_its_retry(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    (taken,) = claimed(storage, worker, 0)
    storage.settle(worker, [failed(taken, worker, at=20, retry_after=10)])
    storage.enqueue([job(10), job(40)])
    storage.stage(START + 30)
    moments = [one.available_at - START for one in storage.claim(worker, ALL, 10)]
    assert moments == in_order(store.kind.order, [10, 30, 40])


def test_a_retry_that_waits_can_be_cancelled(store: Store) -> None:
    result = flaky.enqueue(9)
    work_off(store)
    assert store.storage.cancel([result.id]) == [result.id]
    make_due(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 1)
    assert paths(found) == ["builtins.ValueError", "mainspring.exceptions.TaskCancelled"]
    assert store.storage.claim(registered(store.storage), ALL, 10) == []


# What a task asks for


def test_retry_says_when(store: Store) -> None:
    results = {
        ask.enqueue("retry", "rate limit", after=7): timedelta(seconds=7),
        ask.enqueue("retry", "rate limit", after=0.25): timedelta(seconds=0.25),
        ask.enqueue("retry", "rate limit"): MINUTE,
    }
    work_off(store)
    for result, wait in results.items():
        found = result.refresh()
        (error,) = found.errors
        assert error.exception_class_path == "mainspring.exceptions.Retry"
        assert "rate limit" in error.traceback
        assert available_at(store, result) == error.finished_at + wait
        assert found.attempts == 1


def test_retry_uses_up_attempts(store: Store) -> None:
    result = ask.enqueue("retry", after=0)
    work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 3)
    assert paths(found) == ["mainspring.exceptions.Retry"] * 3


def test_snooze_costs_no_attempt_and_leaves_no_error(store: Store) -> None:
    result = ask.enqueue("snooze", after=30)
    before = job_of(store, result)
    for _ in range(5):
        sooner = clock.now()
        work_off(store)
        later = clock.now()
        after = job_of(store, result)
        assert sooner + 30 * SECOND <= after.available_at <= later + 30 * SECOND
        assert after._replace(available_at=before.available_at, state=before.state) == before
        assert after.state == State.SCHEDULED
        make_due(store)
    assert result.refresh().attempts == 0


def test_discard_is_final(store: Store) -> None:
    result = ask.enqueue("discard", "no customer")
    work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 1)
    (error,) = found.errors
    assert error.exception_class_path == "mainspring.exceptions.Discard"
    assert "no customer" in error.traceback


# A function as the backoff


def test_a_function_says_when_and_when_no_more(store: Store) -> None:
    result = fail_hourly.enqueue()
    for hours in (1, 2, 3):
        work_off(store)
        error = result.refresh().errors[-1]
        assert available_at(store, result) == error.finished_at + timedelta(hours=hours)
        make_due(store)
    work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 4)


def test_a_function_that_raises_ends_the_call_and_both_errors_are_shown(store: Store) -> None:
    result = fail_twice.enqueue()
    work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 1)
    (error,) = found.errors
    assert error.exception_class is LookupError
    assert error.traceback.index("out of order") < error.traceback.index("no tariff")


# Attempts and crashes


def test_crashes_use_up_no_attempts(store: Store) -> None:
    result, storage = flaky.using(backoff=0).enqueue(4), store.storage
    for _ in range(2):
        worker = registered(storage)
        (rescued,) = storage.rescue(clock.now(), [died(worker, storage.claim(worker, ALL, 1))])
        assert rescued.state == State.READY
    work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.SUCCESSFUL, 5)
    lost, failure = "mainspring.exceptions.WorkerLost", "builtins.ValueError"
    assert paths(found) == [lost, lost, failure, failure]


def test_one_call_can_have_fewer_crashes(store: Store) -> None:
    result, storage = add.using(max_crashes=1).enqueue(1), store.storage
    worker = registered(storage)
    (rescued,) = storage.rescue(clock.now(), [died(worker, storage.claim(worker, ALL, 1))])
    assert rescued.state == State.FAILED
    assert result.refresh().status == TaskResultStatus.FAILED


def test_the_settings_say_how_many_crashes_are_too_many(
    stores: Stores, kind: Kind, tmp_path: Path
) -> None:
    with stores.open(kind, tmp_path, MAX_CRASHES=2) as store:
        result, storage = add.enqueue(1), store.storage
        for state in (State.READY, State.FAILED):
            worker = registered(storage)
            storage.rescue(clock.now(), [died(worker, storage.claim(worker, ALL, 1))])
            assert state_of(storage, result.id) == state


def test_a_task_that_was_killed_at_its_timeout_has_failed_as_others_do(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    late, beside = flaky.using(timeout=5).enqueue(9), flaky.enqueue(9)
    taken = {one.id: one for one in storage.claim(worker, ALL, 2)}
    lost = died(worker, [taken[late.id]])._replace(overdue={late.id: "  File nowhere, in loop\n"})
    now = START + 9 * SECOND
    rescued = {one.job_id: one for one in storage.rescue(now, [lost])}
    assert rescued[late.id].state == State.SCHEDULED
    assert (rescued[beside.id].state, rescued[beside.id].was_started) == (State.READY, False)
    found = result_of(store, late)
    (error,) = found.errors
    assert error.exception_class_path == "mainspring.exceptions.TaskTimeout"
    assert "longer than 5 s" in error.traceback
    assert "File nowhere, in loop" in error.traceback
    assert (error.started_at, error.finished_at) == tuple(map(clock.to_datetime, (START, now)))
    assert (error.worker_id, found.worker_ids) == (worker.id, [worker.id])
    assert job_of(store, late).available_at == now + 60 * SECOND
    assert job_of(store, beside)._replace(claim=None) == taken[beside.id]._replace(
        state=State.READY, claim=None
    )


def test_a_task_that_was_killed_at_its_timeout_may_have_had_its_last_attempt(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    result = add.enqueue(1)
    (taken,) = storage.claim(worker, ALL, 2)
    lost = died(worker, [taken])._replace(overdue={taken.id: ""})
    (rescued,) = storage.rescue(START, [lost])
    assert rescued.state == State.FAILED
    assert paths(result_of(store, result)) == ["mainspring.exceptions.TaskTimeout"]


def result_of(store: Store, result: TaskResult[Any]) -> TaskResult[Any]:
    return store.backend.get_result(result.id)


# Signals and the log


@pytest.fixture
def details() -> Iterator[list[Any]]:
    """The details of ``task_retried``."""
    told: list[Any] = []

    def receive(details: Any, **_: Any) -> None:
        told.append(details)

    task_retried.connect(receive)
    yield told
    task_retried.disconnect(receive)


@retried
def test_the_signals_of_a_retry(
    store: Store, task: Any, heard: list[tuple[str, TaskResult[Any]]], details: list[Any]
) -> None:
    result = task.using(max_attempts=2).enqueue(9)
    work_off(store)
    waiting = result.refresh()
    assert [name for name, _ in heard] == ["enqueued", "started"]
    (told,) = details
    assert isinstance(told, Retried)
    assert tuple(told.task_result) == tuple(waiting)
    assert told.error == waiting.errors[0]
    assert told.retry_at == available_at(store, result)
    assert told.retry_at == told.error.finished_at + MINUTE

    make_due(store)
    work_off(store)
    assert [name for name, _ in heard] == ["enqueued", "started", "started", "finished"]
    assert details == [told]
    assert [one.attempts for name, one in heard if name == "started"] == [1, 2]
    assert tuple(heard[-1][1]) == tuple(result.refresh())


def test_snoozing_and_discarding_are_no_retries(store: Store, details: list[Any]) -> None:
    ask.enqueue("snooze", after=30)
    ask.enqueue("discard")
    work_off(store)
    assert details == []


def test_a_receiver_that_raises_does_no_harm(store: Store) -> None:
    def receive(**_: Any) -> None:
        raise RuntimeError("receiver")

    task_retried.connect(receive)
    try:
        result = flaky.using(backoff=0).enqueue(1)
        work_off(store)
    finally:
        task_retried.disconnect(receive)
    assert result.refresh().status == TaskResultStatus.SUCCESSFUL


def test_the_log_of_django_tasks_tells_only_the_end(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="django.tasks"):
        result = flaky.using(backoff=0).enqueue(1)
        work_off(store)
    said = [one.getMessage() for one in caplog.records if one.name == "django.tasks"]
    name = f"Task id={result.id} path=tests.contract.tasks.flaky"
    assert said == [f"{name} state=RUNNING"] * 2 + [f"{name} state=SUCCESSFUL"]


def test_an_attempt_that_came_too_late_is_dropped(store: Store) -> None:
    """Its worker had been given up, and the call was run elsewhere."""
    result = flaky.enqueue(1)
    slow = InlineWorker(store)
    slow.storage.heartbeat(slow.identity, START)
    (taken,) = slow.storage.claim(slow.identity, ALL, 1)
    outcome = slow.execute(taken)
    store.storage.rescue(START, [died(slow.identity, [taken])])
    work_off(store)
    assert slow.storage.settle(slow.identity, [outcome]) == [result.id]
    found = result.refresh()
    assert found.status == TaskResultStatus.SUCCESSFUL
    assert paths(found) == ["mainspring.exceptions.WorkerLost"]


def test_a_wait_beyond_all_time_fails_the_call_and_no_other_one(store: Store) -> None:
    """It used to end the worker, which was restarted to meet it again."""
    for_ever, growing = fail_for_ever.enqueue(), fail_later_and_later.enqueue()
    other = add.enqueue(1, 1)
    work_off(store)
    make_far_due(store)  # the first wait of the growing one is as it should be
    work_off(store)
    assert other.refresh().return_value == 2
    for result, failures in ((for_ever, 1), (growing, 2)):
        found = result.refresh()
        assert found.status == TaskResultStatus.FAILED
        assert len(found.errors) == failures
        assert "must return a number of seconds from 0 to 1e+10" in found.errors[-1].traceback
        assert "ValueError: no end" in found.errors[-1].traceback


def make_far_due(store: Store) -> None:
    while store.storage.stage(clock.now() + 30 * 366 * DAY).staged:
        pass


def test_a_receiver_that_ends_the_process_ends_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def rude(**_: Any) -> None:
        raise SystemExit(1)

    task_retried.connect(rude)
    try:
        results = [flaky.using(backoff=0).enqueue(1)]
        # Before 6.1, Django calls receivers in asyncio tasks, where SystemExit stops the loop.
        if django.VERSION >= (6, 1):
            results.append(flaky_soon.using(backoff=0).enqueue(1))
        work_off(store)
    finally:
        task_retried.disconnect(rude)
    assert {one.refresh().status for one in results} == {TaskResultStatus.SUCCESSFUL}
    assert caplog.text.count("A receiver of a task's signal raised") == len(results)
