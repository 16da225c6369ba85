"""Django's documented interface, on every backend."""

import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.tasks import TaskResultStatus, default_task_backend, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist, TaskResultMismatch
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.test import override_settings
from django.utils import timezone

from mainspring import Task, TaskResult
from mainspring.backends import waiting
from mainspring.core.jobs import State
from mainspring.core.ordering import fifo, lifo
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.identity import new_worker
from tests.contract.jobs import ALL, ids
from tests.contract.router import STORE
from tests.contract.stores import Store, in_both_orders, on_databases, with_threads
from tests.contract.tasks import add, add_soon, by_django, describe, echo, fail
from tests.contract.working import work_off


def test_enqueue_returns_the_result_to_be(store: Store) -> None:
    before = timezone.now()
    result = echo.using(priority=5, queue_name="mail").enqueue(1, [2], key="value")
    assert isinstance(result, TaskResult)
    assert (result.status, result.is_finished) == (TaskResultStatus.READY, False)
    assert (result.args, result.kwargs) == ([1, [2]], {"key": "value"})
    assert (result.task_path, result.backend) == ("tests.contract.tasks.echo", "default")
    assert (result.priority, result.queue_name, result.run_after) == (5, "mail", None)
    assert before <= result.enqueued_at <= timezone.now()
    assert (result.started_at, result.finished_at, result.last_attempted_at) == (None, None, None)
    assert (result.attempts, result.errors, result.worker_ids) == (0, [], [])
    assert result.task == echo.using(priority=5, queue_name="mail")
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value


def test_get_result_gives_what_enqueue_gave(store: Store) -> None:
    run_after = timezone.now() + timedelta(hours=1)
    for task in (add, add.using(run_after=run_after), by_django, add_soon):
        result = task.enqueue(1) if task is not add_soon else add_soon.enqueue(1, 2)
        found = task.get_result(result.id)
        assert tuple(found) == tuple(result)
        assert tuple(default_task_backend.get_result(result.id)) == tuple(result)
        assert tuple(store.backend.get_result(UUID(result.id))) == tuple(result)


def test_the_async_forms_do_the_same(store: Store) -> None:
    async def use() -> None:
        result = await add.aenqueue(1, b=2)
        assert tuple(await add.aget_result(result.id)) == tuple(result)
        assert tuple(await default_task_backend.aget_result(result.id)) == tuple(result)
        assert tuple(await result.arefresh()) == tuple(result)
        with pytest.raises(TaskResultDoesNotExist):
            await add.aget_result(uuid4().hex)
        with pytest.raises(TaskResultMismatch):
            await echo.aget_result(result.id)

    async_to_sync(use)()
    assert store.storage.stats().ready == {"default": 1}


UNKNOWN = UUID("018bcfe5-6800-7000-828a-a4d56d7baf48")


@pytest.mark.parametrize("unknown", [UNKNOWN.hex, "no such id", "", "'; --", "%s", UNKNOWN])
def test_a_result_that_does_not_exist(store: Store, unknown: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        store.backend.get_result(unknown)
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(unknown)


def test_another_tasks_result_is_refused(store: Store) -> None:
    result = add.enqueue(1)
    with pytest.raises(TaskResultMismatch):
        echo.get_result(result.id)


def test_another_aliases_result_does_not_exist(store: Store) -> None:
    result = add.using(backend="other").enqueue(1)
    assert result.backend == "other"
    with pytest.raises(TaskResultDoesNotExist):
        default_task_backend.get_result(result.id)
    assert task_backends["other"].get_result(result.id) == result


def test_a_task_runs_and_its_result_is_read(store: Store) -> None:
    result = add.enqueue(1, b=2)
    work_off(store)
    found = add.get_result(result.id)
    assert (found.status, found.return_value, found.is_finished) == (
        TaskResultStatus.SUCCESSFUL,
        3,
        True,
    )
    assert (found.attempts, len(found.worker_ids), found.errors) == (1, 1, [])
    assert found.started_at is not None
    assert found.finished_at is not None
    assert found.enqueued_at <= found.started_at == found.last_attempted_at <= found.finished_at
    assert (found.args, found.kwargs) == ([1], {"b": 2})


def test_a_task_that_raises_fails(store: Store) -> None:
    result = fail.enqueue("Schönes 'Wetter'")
    work_off(store)
    found = result.refresh()
    assert found.status == TaskResultStatus.FAILED
    (error,) = found.errors
    assert error.exception_class is ValueError
    assert "ValueError: Schönes 'Wetter'" in error.traceback
    assert found.attempts == 1
    with pytest.raises(ValueError, match="Task failed"):
        _ = found.return_value


def test_tasks_of_all_sorts_run(store: Store) -> None:
    results = [add_soon.enqueue(1, 2), by_django.enqueue(7), echo.enqueue(), describe.enqueue()]
    work_off(store)
    values = [result.refresh().return_value for result in results]
    assert values[:3] == [3, 7, [[], {}]]
    result_id, status, attempt, workers = values[3]
    assert (result_id, status, attempt) == (results[3].id, "RUNNING", 1)
    assert workers == results[3].refresh().worker_ids


def test_refresh_returns_a_new_result_and_leaves_the_old_one(store: Store) -> None:
    result = add.enqueue(1)
    before = tuple(result)
    assert result.refresh() == result
    work_off(store)
    found = result.refresh()
    assert found != result
    assert found.id == result.id
    assert found.status == TaskResultStatus.SUCCESSFUL
    assert tuple(result) == before


def test_refresh_of_a_deleted_result_says_so(store: Store) -> None:
    result = add.enqueue(1)
    work_off(store)
    while not store.storage.prune(2**60, 10).is_done:
        pass
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()
    with pytest.raises(TaskResultDoesNotExist):
        result.wait(timeout=1)


def test_a_cancelled_call_shows_as_failed(store: Store) -> None:
    result = add.enqueue(1)
    store.storage.cancel([result.id])
    found = result.refresh()
    assert (found.status, found.attempts) == (TaskResultStatus.FAILED, 0)
    assert found.errors[0].exception_class_path == "mainspring.exceptions.TaskCancelled"


def test_a_deferred_call_shows_as_ready_and_waits(store: Store) -> None:
    run_after = timezone.now() + timedelta(days=1)
    result = add.using(run_after=run_after).enqueue(1)
    work_off(store)
    found = result.refresh()
    assert (found.status, found.run_after) == (TaskResultStatus.READY, run_after)
    (job,) = store.storage.get_results([result.id])
    assert job.state == State.SCHEDULED


def test_a_run_after_that_has_passed_means_now(store: Store) -> None:
    run_after = timezone.now() - timedelta(days=1)
    result = add.using(run_after=run_after).enqueue(1)
    work_off(store)
    found = result.refresh()
    assert (found.status, found.run_after) == (TaskResultStatus.SUCCESSFUL, run_after)


@in_both_orders
def test_results_come_out_in_the_order_in_which_they_are_claimed(store: Store) -> None:
    results = [
        add.using(priority=priority, queue_name=name).enqueue(1)
        for priority in (3, -3, 0)
        for name in ("a", "b")
        for _ in range(4)
    ]
    claimed = store.storage.claim(new_worker(), ALL, 100)
    key = lifo if store.kind.order == "lifo" else fifo
    keys = [key(TaskResult.from_job(job))[:2] for job in claimed]
    assert keys == sorted(key(result)[:2] for result in results)
    assert sorted(ids(claimed)) == sorted(result.id for result in results)


def test_what_is_not_json_is_refused_and_nothing_is_stored(store: Store) -> None:
    for argument in ({1}, timezone.now(), float("nan"), {1: 2}, "\ud800"):
        with pytest.raises((TypeError, ValueError), match="rgument"):
            echo.enqueue(argument)
    assert store.storage.stats().ready == {}


def test_what_the_backend_cannot_run_is_refused(store: Store) -> None:
    for change in (
        {"priority": 101},
        {"priority": 1.5},
        {"run_after": timezone.now().replace(tzinfo=None)},
    ):
        with pytest.raises(InvalidTask):
            add.using(**change)


def test_a_queue_that_is_not_declared_is_refused(store: Store) -> None:
    entry = {**store.tasks["default"], "QUEUES": ["default", "mail"]}
    with override_settings(TASKS={"default": entry}):
        add.using(queue_name="mail").enqueue(1)
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid"):
            add.using(queue_name="other")


@on_databases
def test_enqueueing_is_part_of_the_transaction(store: Store) -> None:
    with transaction.atomic(STORE):
        result = add.enqueue(1)
        assert result.refresh() == result
        transaction.set_rollback(True, using=STORE)
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()


# Waiting


def test_waiting_for_what_has_finished_returns_at_once(store: Store) -> None:
    result = add.enqueue(1, 2)
    work_off(store)
    finished = result.wait(timeout=0)
    assert finished.return_value == 3
    assert finished.wait() is finished
    assert async_to_sync(finished.await_result)() is finished


def test_a_wait_that_takes_too_long_ends(store: Store) -> None:
    result = add.enqueue(1)
    with pytest.raises(TimeoutError, match=result.id):
        result.wait(timeout=0)
    with pytest.raises(TimeoutError):
        result.wait(timeout=0.01)
    with pytest.raises(TimeoutError):
        async_to_sync(result.await_result)(timeout=0.01)
    assert result.refresh() == result


@on_databases
def test_a_wait_bears_a_store_that_is_away_for_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = add.enqueue(1, 2)
    work_off(store)
    get_result, failures = store.backend.get_result, iter(range(6))

    def look(result_id: str) -> TaskResult[Any]:
        for _ in failures:
            raise StoreUnavailable("down")
        return get_result(result_id)

    monkeypatch.setattr(store.backend, "get_result", look)
    assert result.wait(10).return_value == 3
    failures = iter(range(6))
    assert async_to_sync(result.await_result)().return_value == 3


@on_databases
def test_a_wait_ends_with_the_outage_that_outlasts_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = add.enqueue(1, 2)

    def look(result_id: str) -> TaskResult[Any]:
        raise StoreUnavailable("down")

    monkeypatch.setattr(store.backend, "get_result", look)
    with pytest.raises(StoreUnavailable):
        result.wait(0.01)
    with pytest.raises(StoreUnavailable):
        async_to_sync(result.await_result)(0.01)
    monkeypatch.setattr(waiting, "_LONGEST_OUTAGE", 0.01)
    with pytest.raises(StoreUnavailable):
        result.wait()


@with_threads
@pytest.mark.parametrize("timeout", [None, 10.0])
def test_a_wait_ends_when_the_result_is_settled(store: Store, timeout: float | None) -> None:
    good, bad = add.enqueue(1, 2), fail.enqueue()
    working = store.in_thread(lambda: work_off(store))
    assert good.wait(timeout).return_value == 3
    assert bad.wait(timeout).status == TaskResultStatus.FAILED
    working.result(10)


@with_threads
def test_a_wait_ends_when_the_call_is_cancelled(store: Store) -> None:
    result = add.enqueue(1)
    cancelling = store.in_thread(lambda: store.storage.cancel([result.id]))
    assert result.wait(10).status == TaskResultStatus.FAILED
    cancelling.result(10)


@with_threads
def test_results_can_be_awaited_together(store: Store) -> None:
    results = [add.enqueue(number, 1) for number in range(3)]

    async def gather() -> list[TaskResult[int]]:
        return await asyncio.gather(*results)

    working = store.in_thread(lambda: work_off(store))
    finished = async_to_sync(gather)()
    assert [result.return_value for result in finished] == [1, 2, 3]
    working.result(10)


# Signals and the log


def test_the_signals_of_a_success(store: Store, heard: list[tuple[str, TaskResult[Any]]]) -> None:
    result = add.enqueue(1, 2)
    work_off(store)
    assert [name for name, _ in heard] == ["enqueued", "started", "finished"]
    assert {told.id for _, told in heard} == {result.id}
    assert [told.status for _, told in heard] == [
        TaskResultStatus.READY,
        TaskResultStatus.RUNNING,
        TaskResultStatus.SUCCESSFUL,
    ]
    running, finished = heard[1][1], heard[2][1]
    assert running.attempts == 1
    assert finished.return_value == 3
    assert tuple(finished) == tuple(result.refresh())


def test_the_signals_of_a_failure(store: Store, heard: list[tuple[str, TaskResult[Any]]]) -> None:
    fail.enqueue()
    work_off(store)
    assert [name for name, _ in heard] == ["enqueued", "started", "finished"]
    assert heard[-1][1].status == TaskResultStatus.FAILED
    assert heard[-1][1].errors[0].exception_class is ValueError


def test_the_sender_is_the_backend(store: Store) -> None:
    senders = []

    def receive(sender: type, **_: Any) -> None:
        senders.append(sender)

    for signal in (task_enqueued, task_started, task_finished):
        signal.connect(receive)
    try:
        add.enqueue(1)
        work_off(store)
    finally:
        for signal in (task_enqueued, task_started, task_finished):
            signal.disconnect(receive)
    assert senders == [type(store.backend)] * 3


def test_the_log_of_django_tasks_tells_each_step(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="django.tasks"):
        good, bad = add.enqueue(1), fail.enqueue()
        work_off(store)
    said = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "django.tasks"
    ]
    path, path_of_bad = "tests.contract.tasks.add", "tests.contract.tasks.fail"
    assert sorted(said) == sorted(
        [
            ("DEBUG", f"Task id={good.id} path={path} enqueued backend=default"),
            ("DEBUG", f"Task id={bad.id} path={path_of_bad} enqueued backend=default"),
            ("INFO", f"Task id={good.id} path={path} state=RUNNING"),
            ("INFO", f"Task id={bad.id} path={path_of_bad} state=RUNNING"),
            ("INFO", f"Task id={good.id} path={path} state=SUCCESSFUL"),
            ("ERROR", f"Task id={bad.id} path={path_of_bad} state=FAILED"),
        ]
    )
    (failure,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert failure.exc_info is not None
    assert failure.exc_info[0] is ValueError


# What the class says of itself


def test_the_capabilities(store: Store) -> None:
    backend = store.backend
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority
    assert backend.task_class is Task
    assert not any(problem.is_serious() for problem in backend.check())


def test_all_threads_have_one_storage(store: Store) -> None:
    assert store.in_thread(lambda: store.storage).result(10) is store.storage
