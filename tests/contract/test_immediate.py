"""ImmediateBackend: what of Django's interface it has."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.tasks import TaskResultStatus
from django.tasks.exceptions import InvalidTask
from django.test import override_settings
from django.utils import timezone

from mainspring import TaskResult
from tests.contract.tasks import add, add_soon, fail


@pytest.fixture
def immediate() -> Iterator[None]:
    """Tasks go to ImmediateBackend."""
    entry = {"BACKEND": "mainspring.backends.immediate.ImmediateBackend", "QUEUES": []}
    with override_settings(TASKS={"default": entry}):
        yield


def test_immediate_runs_the_task_when_it_is_enqueued(
    immediate: None, heard: list[tuple[str, TaskResult[Any]]]
) -> None:
    result = add.using(priority=5, queue_name="mail").enqueue(1, b=2)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
    assert (result.attempts, len(result.worker_ids)) == (1, 1)
    assert [name for name, _ in heard] == ["enqueued", "started", "finished"]
    assert result.wait() is result


def test_immediate_runs_async_tasks_from_sync_and_async_code(immediate: None) -> None:
    assert add_soon.enqueue(1, 2).return_value == 3
    assert async_to_sync(add_soon.aenqueue)(1, 2).return_value == 3
    assert async_to_sync(add.aenqueue)(1, 2).return_value == 3


def test_immediate_runs_many_calls(immediate: None) -> None:
    async def calls() -> AsyncIterator[tuple[int, int]]:
        for i in range(3):
            yield i, 1

    assert [result.return_value for result in add.enqueue_many([(1, 2), (3, 4)])] == [3, 7]
    results = async_to_sync(add_soon.aenqueue_many)(calls())
    assert [result.return_value for result in results] == [1, 2, 3]
    results = async_to_sync(add.aenqueue_many)([(1, 2)])
    assert [result.return_value for result in results] == [3]


def test_immediate_fails_what_raises(immediate: None, caplog: pytest.LogCaptureFixture) -> None:
    result = fail.enqueue()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is ValueError
    assert f"Task id={result.id} path={fail.module_path} state=FAILED" in caplog.text


def test_immediate_keeps_no_results_and_defers_nothing(immediate: None) -> None:
    result = add.enqueue(1)
    for look in (result.refresh, lambda: add.get_result(result.id)):
        with pytest.raises(NotImplementedError):
            look()
    with pytest.raises(NotImplementedError):
        async_to_sync(result.arefresh)()
    with pytest.raises(InvalidTask, match="does not support run_after"):
        add.using(run_after=timezone.now())
