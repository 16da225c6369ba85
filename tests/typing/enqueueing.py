"""What a type checker makes of arguments and results. Checked by mypy, never executed."""

import heapq
from datetime import datetime
from queue import PriorityQueue
from typing import Any, assert_type

from tests.typing.declaring import add, fetch, report, send

from mainspring import Task, TaskError, TaskResult, TaskResultStatus, fifo, lifo


def arguments_are_those_of_the_function() -> None:
    assert_type(add.enqueue(1, 2), TaskResult[int])
    assert_type(add.enqueue(1), TaskResult[int])
    assert_type(add.enqueue(left=1, right=2), TaskResult[int])
    assert_type(send.enqueue("a@example.com", subject="Hello"), TaskResult[None])
    assert_type(add.using(priority=5).enqueue(1), TaskResult[int])


def wrong_arguments_are_refused() -> None:
    add.enqueue()  # type: ignore[call-arg]
    add.enqueue("1")  # type: ignore[arg-type]
    add.enqueue(1, 2, 3)  # type: ignore[call-arg]
    add.enqueue(1, wrong=2)  # type: ignore[call-arg]
    send.enqueue("a@example.com", "Hello")  # type: ignore[call-arg]


def enqueueing_may_wait_for_a_commit() -> None:
    assert_type(add.enqueue_on_commit(1, 2), TaskResult[int])
    assert_type(add.enqueue_on_commit(1, 2, using="orders"), TaskResult[int])
    add.enqueue_on_commit("1")  # type: ignore[call-overload]
    add.enqueue_on_commit(1, using=2)  # type: ignore[call-overload]


def the_context_is_not_passed() -> None:
    assert_type(report.enqueue("2030-01"), TaskResult[dict[str, int]])
    report.enqueue()  # type: ignore[call-arg]


async def enqueueing_is_there_for_async_code() -> None:
    assert_type(await add.aenqueue(1, 2), TaskResult[int])
    await add.aenqueue("1")  # type: ignore[arg-type]


def results_have_djangos_attributes(result: TaskResult[int]) -> None:
    assert_type(result.id, str)
    assert_type(result.status, TaskResultStatus)
    assert_type(result.task, Task[..., int])
    assert_type(result.task_path, str)
    assert_type(result.queue_name, str)
    assert_type(result.priority, int)
    assert_type(result.backend, str)
    assert_type(result.run_after, datetime | None)
    assert_type(result.enqueued_at, datetime)
    assert_type(result.started_at, datetime | None)
    assert_type(result.last_attempted_at, datetime | None)
    assert_type(result.finished_at, datetime | None)
    assert_type(result.args, list[Any])
    assert_type(result.kwargs, dict[str, Any])
    assert_type(result.errors, list[TaskError])
    assert_type(result.worker_ids, list[str])
    assert_type(result.return_value, int)
    assert_type(result.is_finished, bool)
    assert_type(result.attempts, int)


def results_do_not_change(result: TaskResult[int]) -> None:
    result.status = TaskResultStatus.FAILED  # type: ignore[misc]
    result.return_value = 1  # type: ignore[misc]
    assert_type(result.refresh(), TaskResult[int])
    assert_type(result.wait(timeout=5), TaskResult[int])
    assert_type(result.wait().return_value, int)
    assert_type(add.get_result(result.id), TaskResult[int])


async def results_can_be_awaited(result: TaskResult[int]) -> None:
    assert_type(await result, TaskResult[int])
    assert_type(await result.await_result(timeout=5), TaskResult[int])
    assert_type(await result.arefresh(), TaskResult[int])
    assert_type((await result).return_value, int)
    assert_type(await add.aget_result(result.id), TaskResult[int])


async def an_async_task_returns_what_it_awaits() -> None:
    result = await fetch.aenqueue("https://example.com")
    assert_type((await result).return_value, list[str])


def results_can_be_ordered(results: list[TaskResult[int]]) -> None:
    assert_type(results[0] < results[1], bool)
    assert_type(sorted(results), list[TaskResult[int]])
    assert_type(sorted(results, key=lifo), list[TaskResult[int]])
    assert_type(min(results, key=fifo), TaskResult[int])
    heapq.heapify(results)
    waiting: PriorityQueue[TaskResult[int]] = PriorityQueue()
    waiting.put(results[0])
    assert_type(waiting.get(), TaskResult[int])


def errors_name_their_class(error: TaskError) -> None:
    assert_type(error.exception_class_path, str)
    assert_type(error.traceback, str)
    assert_type(error.exception_class, type[BaseException])
