import asyncio
import copy
import gc
import heapq
import pickle
import queue
import random
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

import pytest
from django.tasks import TaskResultStatus, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from mainspring import TaskContext, TaskError, TaskResult
from mainspring.core import codec
from mainspring.core.jobs import Job, State
from mainspring.exceptions import TaskNotFound
from tests.unit import tasks
from tests.unit.backends import KEPT, AuditedTask

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FINISHED = {
    "status": TaskResultStatus.SUCCESSFUL,
    "started_at": NOW,
    "last_attempted_at": NOW,
    "finished_at": NOW,
    "worker_log": ("w1",),
}


def result(**changes):
    fields = {
        "id": "0" * 32,
        "status": TaskResultStatus.READY,
        "task_path": tasks.keep.module_path,
        "queue_name": "default",
        "priority": 0,
        "run_after": None,
        "backend": "kept",
        "enqueued_at": NOW,
    }
    return TaskResult(**{**fields, **changes})


def moments():
    return st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


ANY_RESULT = st.builds(
    result,
    id=st.text("0123456789abcdef", min_size=32, max_size=32),
    status=st.sampled_from(list(TaskResultStatus)),
    priority=st.integers(-100, 100),
    run_after=st.none() | moments(),
    enqueued_at=moments(),
    started_at=st.none() | moments(),
    last_attempted_at=st.none() | moments(),
    finished_at=st.none() | moments(),
    worker_log=st.lists(st.text(), max_size=3).map(tuple),
    error_log=st.lists(
        st.builds(
            TaskError,
            exception_class_path=st.text(),
            traceback=st.text(),
            started_at=st.none() | moments(),
            finished_at=st.none() | moments(),
            worker_id=st.none() | st.text(),
        ),
        max_size=2,
    ).map(tuple),
    returned=st.none() | st.binary(),
    options=st.none() | st.binary(),
    noted=st.none() | st.binary(),
)


# What it is


def test_a_new_result_has_what_djangos_has():
    before = timezone.now()
    made = tasks.keep.enqueue(1, "two", three=[3])
    assert made.task == tasks.keep
    assert made.status is TaskResultStatus.READY
    assert before <= made.enqueued_at <= timezone.now()
    assert (made.args, made.kwargs) == ([1, "two"], {"three": [3]})
    assert (made.started_at, made.last_attempted_at, made.finished_at) == (None, None, None)
    assert (made.errors, made.worker_ids, made.attempts) == ([], [], 0)
    assert made.backend == "kept"
    assert not made.is_finished
    assert made.available_at == made.enqueued_at
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = made.return_value


def test_it_cannot_be_changed():
    made = result()
    for name in ("status", "args", "errors", "anything"):
        with pytest.raises(AttributeError):
            setattr(made, name, 1)
    made = tasks.keep.enqueue([1])
    made.args.append(2)
    made.args[0].append(2)
    made.kwargs["a"] = 1
    made.errors.append(1)
    made.worker_ids.append("me")
    assert (made.args, made.kwargs, made.errors, made.worker_ids) == ([[1]], {}, [], [])
    assert not hasattr(made, "__dict__")


def test_the_return_value():
    assert result(**FINISHED, returned=b"[42]").return_value == [42]
    assert result(**FINISHED).return_value is None
    failed = result(**{**FINISHED, "status": TaskResultStatus.FAILED})
    with pytest.raises(ValueError, match="Task failed"):
        _ = failed.return_value
    for status in (TaskResultStatus.READY, TaskResultStatus.RUNNING):
        with pytest.raises(ValueError, match="Task has not finished yet"):
            _ = result(status=status).return_value


@pytest.mark.parametrize("status", list(TaskResultStatus))
def test_is_finished(status):
    final = {TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED}
    assert result(status=status).is_finished == (status in final)


def test_it_shows_a_stored_job():
    job = Job(
        "a" * 32,
        "kept",
        "app.tasks.work",
        "mail",
        5,
        1_000_000,
        State.FAILED,
        7,
        b'[[1],{"b":2}]',
        1_000_000,
        0,
        b'{"max_attempts":2}',
        b'{"order":5}',
        None,
        2_000_000,
        3_000_000,
        4_000_000,
        b'["w1","w2"]',
        b'[["builtins.ValueError","text",2000000,2500000,"w1"],["builtins.OSError","late"]]',
        None,
    )
    shown = TaskResult.from_job(job)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert shown.id == job.id
    assert shown.status is TaskResultStatus.FAILED
    assert (shown.task_path, shown.queue_name, shown.priority) == ("app.tasks.work", "mail", 5)
    assert (shown.run_after, shown.available_at) == (epoch + second, epoch + second)
    assert shown.enqueued_at == epoch
    assert shown.started_at == epoch + 2 * second
    assert shown.last_attempted_at == epoch + 3 * second
    assert shown.finished_at == epoch + 4 * second
    assert (shown.args, shown.kwargs) == ([1], {"b": 2})
    assert (shown.worker_ids, shown.attempts) == (["w1", "w2"], 2)
    first, second_error = shown.errors
    assert first == TaskError(
        "builtins.ValueError", "text", epoch + 2 * second, epoch + 2.5 * second, "w1"
    )
    assert second_error == TaskError("builtins.OSError", "late", None, None, None)
    assert (shown.metadata, shown.progress) == ({"order": 5}, None)


def test_without_time_zones_its_datetimes_are_naive():
    with override_settings(USE_TZ=False):
        made = tasks.keep.using(run_after=datetime(2030, 1, 1)).enqueue()
        assert made.enqueued_at.tzinfo is None
        assert made.run_after == datetime(2030, 1, 1)
        again = pickle.loads(pickle.dumps(made))
        assert tuple(again) == tuple(made)
    assert KEPT.jobs[made.id].run_after == 1_893_452_400 * 10**6  # midnight in Berlin


# Its task


def test_its_task_is_the_declared_one():
    assert tasks.keep.enqueue().task is tasks.keep


def test_its_task_has_the_changes_of_the_call():
    due = timezone.now() + timedelta(hours=1)
    changed = tasks.keep.using(priority=7, run_after=due)
    found = changed.enqueue().task
    assert found == changed
    assert found is not tasks.keep
    assert tasks.keep.priority == 0


def test_a_result_of_a_task_that_is_gone_can_do_all_but_name_it():
    gone = result(task_path="tests.unit.tasks.gone", **FINISHED, returned=b"1")
    assert (gone.args, gone.return_value, gone.is_finished) == ([], 1, True)
    assert pickle.loads(pickle.dumps(gone)) == gone
    assert "tests.unit.tasks.gone" in repr(gone)
    assert len({gone, gone._replace(priority=1)}) == 1
    with pytest.raises(TaskNotFound, match=r"'tests.unit.tasks.gone'"):
        _ = gone.task


def test_its_task_is_refused_where_the_settings_no_longer_allow_it():
    with pytest.raises(InvalidTask, match="Queue 'closed' is not valid"):
        _ = result(queue_name="closed").task


# Reading it again


def test_refresh_returns_a_new_result():
    made = tasks.keep.enqueue(1)
    KEPT.jobs[made.id] = KEPT.jobs[made.id]._replace(state=State.RUNNING, started_at=5)
    again = made.refresh()
    assert again.status is TaskResultStatus.RUNNING
    assert made.status is TaskResultStatus.READY
    assert asyncio.run(made.arefresh()) == again
    assert made != again
    assert tasks.keep.get_result(made.id) == again


def test_a_deleted_result_is_no_longer_there():
    made = tasks.keep.enqueue()
    del KEPT.jobs[made.id]
    with pytest.raises(TaskResultDoesNotExist):
        made.refresh()
    with pytest.raises(TaskResultDoesNotExist):
        asyncio.run(made.arefresh())
    with pytest.raises(TaskResultDoesNotExist):
        made.wait()


def finish(made):
    KEPT.jobs[made.id] = KEPT.jobs[made.id]._replace(
        state=State.SUCCESSFUL, finished_at=6, return_value=b'"done"'
    )


def test_waiting_returns_the_finished_result():
    made = tasks.keep.enqueue()
    finish(made)
    assert made.wait().return_value == "done"
    assert made.wait(timeout=0).return_value == "done"

    async def main():
        return await made, await made.await_result(timeout=1)

    assert {one.return_value for one in asyncio.run(main())} == {"done"}
    finished = made.refresh()
    assert finished.wait() is finished
    assert asyncio.run(finished.await_result()) is finished


def test_waiting_ends_with_its_timeout():
    made = tasks.keep.enqueue()
    with pytest.raises(TimeoutError, match=made.id):
        made.wait(timeout=0.01)
    with pytest.raises(TimeoutError, match=made.id):
        asyncio.run(made.await_result(timeout=0.01))


# Equality and order


def test_equality_goes_by_id_status_and_last_attempt():
    made = result()
    assert made == made._replace(backend="other", priority=9, arguments=b"[[1],{}]")
    assert hash(made) == hash(made._replace(backend="other"))
    assert made != made._replace(id="1" * 32)
    assert made != made._replace(status=TaskResultStatus.RUNNING)
    assert made != made._replace(last_attempted_at=NOW)
    assert len({made, made._replace(priority=3), made._replace(last_attempted_at=NOW)}) == 2


def test_nothing_else_is_equal_to_it():
    made = result()
    for other in (None, 5, "text", (), object()):
        assert made != other
        assert other != made
        assert (made == other) is False
    for plain in (tuple(made), made._replace()[:]):
        assert made != plain
        assert plain != made
        assert (made == plain) is (plain == made) is False
    assert made == ANY


def test_it_compares_with_results_only():
    made = result()
    for other in (None, 5, "text", (), tuple(made)):
        for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
            with pytest.raises(TypeError, match="not supported between instances of"):
                getattr(made, compare)(other)
    with pytest.raises(TypeError):
        _ = made < tuple(made)
    with pytest.raises(TypeError):
        _ = tuple(made) < made


def test_none_goes_before_itself():
    made = result()
    assert not made < made._replace(backend="other")
    assert not made > made
    assert made <= made
    assert made >= made


def test_a_priority_queue_of_a_thousand_results_comes_out_in_the_documented_order():
    random.seed(3)
    results = []
    for i in range(1000):
        due = NOW + timedelta(seconds=random.randrange(50)) if i % 3 else None
        results.append(
            result(id=f"{i:032x}", priority=random.randrange(-5, 6), run_after=due)._replace(
                enqueued_at=NOW + timedelta(seconds=random.randrange(50))
            )
        )
    pending = queue.PriorityQueue()
    for one in random.sample(results, len(results)):
        pending.put(one)
    out = [pending.get_nowait() for _ in results]
    assert len(out) == len(set(out)) == 1000
    # The higher priority first; in one priority, the newest first.
    key = [(-one.priority, -(one.run_after or one.enqueued_at).timestamp()) for one in out]
    assert key == sorted(key)
    assert {one.priority for one in out} == set(range(-5, 6))


def test_a_hundred_thousand_results_compare_hash_and_pickle():
    made = [tasks.keep.using(priority=i % 5) for i in range(5)]
    results = [
        TaskResult.from_job(made[i % 5].get_backend().new_job(made[i % 5], (i,), {}))
        for i in range(100_000)
    ]
    assert len(set(results)) == len(results)
    heap = results[::-1]
    heapq.heapify(heap)
    assert heap[0].priority == 4
    assert heap[0] == min(results)
    ordered = sorted(results)
    assert [one.priority for one in ordered[::20_000]] == [4, 3, 2, 1, 0]
    again = pickle.loads(pickle.dumps(results, -1))
    assert again == results
    assert list(map(tuple, again)) == list(map(tuple, results))


# Pickling and copying


@given(ANY_RESULT)
def test_it_pickles_whole(made):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(made, protocol))
        assert type(again) is TaskResult
        assert tuple(again) == tuple(made)
        assert all(type(error) is TaskError for error in again.error_log)


def test_it_copies_whole():
    made = result(**FINISHED, returned=b"1")
    assert tuple(copy.copy(made)) == tuple(made)
    assert tuple(copy.deepcopy(made)) == tuple(made)


class OwnResult(TaskResult):
    __slots__ = ()

    @property
    def label(self):
        return f"call {self.id}"


def test_a_subclass_stays_one():
    mine = OwnResult(*result())
    assert pickle.loads(pickle.dumps(mine)).label == f"call {'0' * 32}"
    assert mine == result()


def test_a_fresh_process_reads_it():
    made = tasks.keep.using(priority=3).enqueue(1)
    code = (
        "import pickle, sys, django\n"
        "django.setup()\n"
        "made = pickle.loads(sys.stdin.buffer.read())\n"
        "print(made.id, made.args, made.task.priority, made.task.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(made),
        capture_output=True,
        check=True,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.decode().split() == [made.id, "[1]", "3", "keep"]


def test_it_is_light():
    made = [tasks.keep.enqueue() for _ in range(2)]
    assert made[0].arguments is made[1].arguments is codec.NO_ARGUMENTS
    assert made[0].error_log is made[1].error_log
    assert made[0].worker_log is made[1].worker_log
    assert made[0].task_path is made[1].task_path
    assert made[0].backend is made[1].backend


def test_it_takes_as_little_room_as_promised():
    tasks.keep.enqueue(0, b=1)
    backend, number = tasks.keep.get_backend(), 5000
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        held = [
            TaskResult.from_job(backend.new_job(tasks.keep, (i,), {"b": i})) for i in range(number)
        ]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / number < 400
    assert len(pickle.dumps(held[-1])) < 240


# Context and errors


def test_the_context_knows_the_attempt():
    context = TaskContext(result(worker_log=("w1", "w2")))
    assert context.attempt == 2
    assert context == TaskContext(task_result=context.task_result)
    assert pickle.loads(pickle.dumps(context)) == context


def test_an_error_finds_its_class():
    assert TaskError("builtins.ValueError", "").exception_class is ValueError
    assert TaskError("builtins.SystemExit", "").exception_class is SystemExit
    assert TaskError("queue.Empty", "").exception_class is queue.Empty


@pytest.mark.parametrize("path", ["subprocess.run", "builtins.int", "sys.path"])
def test_an_error_that_is_none_is_told(path):
    with pytest.raises(ValueError, match=f"'{path}' does not reference a valid exception"):
        _ = TaskError(path, "").exception_class


@pytest.mark.parametrize("path", ["does.not.exist", "builtins.Gone", "nodots"])
def test_an_error_whose_class_is_gone_is_told(path):
    with pytest.raises(ImportError):
        _ = TaskError(path, "").exception_class


def test_results_of_a_class_with_more_fields_have_that_class():
    found = tasks.audited.enqueue().task
    assert type(found) is AuditedTask
    assert found.owner == "ops"
    assert task_backends["audited"].get_result(tasks.audited.enqueue().id).task == found
