"""Timeouts: a task that takes too long is told to end, and has failed."""

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.tasks import TaskResultStatus

from mainspring import TaskResult, TaskTimeout
from mainspring.core import clock
from mainspring.core.jobs import State
from mainspring.signals import Retried, TimedOut, task_retried, task_timed_out
from tests.contract.jobs import stored
from tests.contract.stores import Kind, Store, Stores
from tests.contract.tasks import (
    add,
    add_soon,
    released,
    run_until_told,
    take_care,
    take_care_soon,
    wait_until_told,
)
from tests.contract.working import InlineWorker

SHORT = 0.01  # seconds

hanging = pytest.mark.parametrize("task", [run_until_told, wait_until_told], ids=["sync", "async"])


def work_off(store: Store) -> str:
    """Run everything that is ready, in this thread, under guard; return the worker's id."""
    released.clear()
    worker = InlineWorker(store)
    worker.guard.start()
    try:
        worker.work_off()
    finally:
        worker.guard.stop()
    assert worker.lost == []
    assert worker.guard.running == worker.guard.told == {}
    return worker.identity.id


@hanging
def test_a_task_that_takes_too_long_fails(store: Store, task: Any) -> None:
    result = task.using(timeout=SHORT).enqueue()
    worker_id = work_off(store)
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 1)
    (error,) = found.errors
    assert error.exception_class_path == "mainspring.exceptions.TaskTimeout"
    assert error.traceback.endswith("TaskTimeout: The call took longer than 0.01 s.\n")
    assert f"in {task.name}" in error.traceback
    assert error.worker_id == worker_id
    assert error.finished_at - error.started_at >= timedelta(seconds=SHORT)


@hanging
def test_it_is_retried_like_any_other_failure(store: Store, task: Any) -> None:
    result = task.using(timeout=SHORT, max_attempts=2, backoff=60).enqueue()
    work_off(store)
    (error,) = result.refresh().errors
    job = stored(store.storage, result.id)
    assert job.state == State.SCHEDULED
    assert clock.to_datetime(job.available_at) == error.finished_at + timedelta(seconds=60)


@pytest.mark.parametrize("task", [take_care, take_care_soon], ids=["sync", "async"])
def test_it_can_clean_up_but_what_it_returns_comes_too_late(store: Store, task: Any) -> None:
    result = task.using(timeout=SHORT).enqueue()
    work_off(store)
    found = result.refresh()
    assert found.status == TaskResultStatus.FAILED
    assert [error.exception_class for error in found.errors] == [TaskTimeout]
    assert found.errors[0].traceback.endswith("TaskTimeout: The call took longer than 0.01 s.\n")


def test_what_is_quick_enough_or_has_no_timeout_is_left_alone(store: Store) -> None:
    results = [
        task.using(timeout=timeout).enqueue(1, 2)
        for task in (add, add_soon)
        for timeout in (60, timedelta(hours=1), math.inf, None)
    ]
    work_off(store)
    assert [result.refresh().return_value for result in results] == [3] * 8


@hanging
def test_the_next_ones_are_left_alone(store: Store, task: Any) -> None:
    late = [task.using(timeout=SHORT).enqueue() for _ in range(2)]
    others = [add.enqueue(1, 2), add_soon.enqueue(1, 2), *add.enqueue_many([[1, 2]] * 5)]
    work_off(store)
    assert {one.refresh().status for one in late} == {TaskResultStatus.FAILED}
    assert {one.refresh().return_value for one in others} == {3}


@hanging
def test_the_settings_say_how_long_is_too_long(
    stores: Stores, kind: Kind, tmp_path: Path, task: Any
) -> None:
    with stores.open(kind, tmp_path, TIMEOUT=SHORT) as store:
        result = task.enqueue()
        work_off(store)
        (error,) = result.refresh().errors
        assert error.exception_class_path == "mainspring.exceptions.TaskTimeout"


@pytest.fixture
def details() -> Iterator[list[Any]]:
    """The details that came with the signals."""
    told: list[Any] = []

    def receive(details: Any, **_: Any) -> None:
        told.append(details)

    for signal in (task_timed_out, task_retried):
        signal.connect(receive)
    yield told
    for signal in (task_timed_out, task_retried):
        signal.disconnect(receive)


@hanging
def test_the_signals_tell_it(
    store: Store, task: Any, details: list[Any], heard: list[tuple[str, TaskResult[Any]]]
) -> None:
    result = task.using(timeout=SHORT, max_attempts=2, backoff=60).enqueue()
    work_off(store)
    timed_out, retried = details
    assert (type(timed_out), type(retried)) == (TimedOut, Retried)
    for told in details:
        assert tuple(told.task_result) == tuple(result.refresh())
        assert told.error == result.refresh().errors[0]
    assert [name for name, _ in heard] == ["enqueued", "started"]
