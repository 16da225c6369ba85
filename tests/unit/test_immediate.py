import asyncio
import gc
import logging
import threading
import weakref
from contextlib import contextmanager
from datetime import UTC, timedelta
from types import SimpleNamespace

import pytest
from django.tasks import TaskResultStatus, default_task_backend, task_backends
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from django.test import override_settings
from django.utils import timezone

from mainspring import Progress, Task, TaskResult, signals, task
from mainspring.backends.immediate import ImmediateBackend
from tests.unit import tasks

NOT_KEPT = "This backend does not support retrieving or refreshing results"


@contextmanager
def heard(*chosen):
    """Collect what the signals send."""
    sent = []

    def receive(signal, sender, task_result, **kwargs):
        sent.append(SimpleNamespace(signal=signal, sender=sender, result=task_result))

    chosen = chosen or (signals.task_enqueued, signals.task_started, signals.task_finished)
    for signal in chosen:
        signal.connect(receive, weak=False)
    try:
        yield sent
    finally:
        for signal in chosen:
            signal.disconnect(receive)


def assert_finished(result, status):
    assert result.status is status
    assert result.is_finished
    assert result.enqueued_at <= result.started_at <= result.finished_at <= timezone.now()
    assert result.last_attempted_at == result.started_at
    assert result.enqueued_at.tzinfo is UTC
    assert result.attempts == 1
    assert result.worker_ids == [task_backends["default"].worker_id]


def test_it_is_the_backend():
    assert type(task_backends["default"]) is ImmediateBackend
    assert default_task_backend == task_backends["default"]
    assert default_task_backend.alias == "default"
    assert default_task_backend.options == {}
    assert default_task_backend.task_class is Task


def test_it_says_what_it_supports():
    backend = task_backends["default"]
    assert backend.supports_async_task
    assert backend.supports_priority
    assert not backend.supports_defer
    assert not backend.supports_get_result


@pytest.mark.parametrize("one", [tasks.add, tasks.add_soon], ids=["sync", "async"])
def test_a_task_is_finished_when_it_is_enqueued(one):
    before = timezone.now()
    result = one.enqueue(1, b=2)
    assert type(result) is TaskResult
    assert_finished(result, TaskResultStatus.SUCCESSFUL)
    assert result.enqueued_at >= before
    assert result.return_value == 3
    assert result.task is one
    assert (result.args, result.kwargs, result.errors) == ([1], {"b": 2}, [])
    assert result.wait() is result


@pytest.mark.parametrize("one", [tasks.add, tasks.add_soon], ids=["sync", "async"])
def test_a_task_is_finished_when_it_is_aenqueued(one):
    async def main():
        result = await one.aenqueue(1, 2)
        return await result

    result = asyncio.run(main())
    assert_finished(result, TaskResultStatus.SUCCESSFUL)
    assert result.return_value == 3


def test_it_runs_in_the_same_thread():
    seen = []
    original = tasks.add.func
    changed = tasks.add.using()

    def watched(a, b=0):
        seen.append(threading.current_thread())
        return original(a, b)

    watched.__qualname__ = "watched"
    changed.func = watched
    changed.enqueue(1)
    assert seen == [threading.current_thread()]


def test_the_backend_enqueues_with_positional_arguments_too():
    assert task_backends["default"].enqueue(tasks.add, [1, 2], {}).return_value == 3
    assert task_backends["default"].enqueue(task=tasks.add, args=(1,), kwargs={}).return_value == 1
    result = asyncio.run(task_backends["default"].aenqueue(tasks.add, (1, 2), {}))
    assert result.return_value == 3


def test_a_task_gets_its_arguments_as_json_brings_them_back():
    mine = {"tuple": (1, 2)}
    result = tasks.echo.enqueue(mine, (3,), key=(4,))
    assert result.return_value == [[{"tuple": [1, 2]}, [3]], {"key": [4]}]
    assert result.args == [{"tuple": [1, 2]}, [3]]
    assert mine == {"tuple": (1, 2)}


def test_a_task_cannot_change_what_the_caller_gave():
    def spoil(items):
        items.append(1)
        return items

    spoil.__qualname__ = "spoil"
    mine = []
    result = Task(func=spoil).enqueue(mine)
    assert (mine, result.args, result.return_value) == ([], [[]], [1])


def test_the_fields_of_the_task_are_those_of_the_result():
    result = tasks.send.enqueue()
    assert (result.priority, result.queue_name, result.run_after) == (7, "mail", None)
    assert tasks.add.using(priority=9).enqueue(1).task == tasks.add.using(priority=9)
    assert tasks.add.using(backend="anyqueue", queue_name="any").enqueue(1).backend == "anyqueue"


# The context


def test_the_context_says_what_runs():
    result = tasks.describe.using(priority=3).enqueue(5)
    assert result.return_value == {
        "id": result.id,
        "status": "RUNNING",
        "attempt": 1,
        "args": [5],
        "priority": 3,
        "a": 5,
    }
    assert tasks.describe_soon.enqueue().return_value


# Errors


@pytest.mark.parametrize(
    ("one", "error", "ending"),
    [
        (tasks.fail, ValueError, "ValueError: out of order\n"),
        (tasks.fail_badly, ValueError, "ValueError: inner\n"),
        (tasks.leave, SystemExit, "SystemExit: bye\n"),
        (tasks.close_generator, GeneratorExit, "GeneratorExit\n"),
    ],
)
def test_a_task_that_raises_fails(caplog, one, error, ending):
    result = one.enqueue()
    assert_finished(result, TaskResultStatus.FAILED)
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    (described,) = result.errors
    assert described.exception_class is error
    assert described.traceback.startswith("Traceback (most recent call last):\n")
    assert described.traceback.endswith(ending)
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]


def test_wrong_arguments_fail_the_task():
    (error,) = tasks.add.enqueue(1, 2, 3).errors
    assert error.exception_class is TypeError
    assert "takes from 1 to 2 positional arguments" in error.traceback


def test_only_a_keyboard_interrupt_reaches_the_caller(caplog):
    with heard() as sent, pytest.raises(KeyboardInterrupt):
        tasks.interrupt.enqueue()
    assert [one.signal for one in sent] == [signals.task_enqueued, signals.task_started]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("set", TypeError, "The return value is a set, which is not JSON"),
        ("nan", ValueError, "The return value is nan"),
        ("key", TypeError, "keys must be str"),
        ("surrogate", ValueError, "lone surrogate"),
    ],
)
def test_a_return_value_that_is_not_json_fails_the_task(kind, error, said):
    result = tasks.give.enqueue(kind)
    assert result.status is TaskResultStatus.FAILED
    (described,) = result.errors
    assert described.exception_class is error
    assert said in described.traceback
    assert tasks.add.enqueue(1).return_value == 1


# Signals and logging


def test_signals_are_sent_with_what_is_known_then():
    with heard() as sent:
        result = tasks.add.enqueue(1)
    assert [one.signal for one in sent] == [
        signals.task_enqueued,
        signals.task_started,
        signals.task_finished,
    ]
    assert {one.sender for one in sent} == {ImmediateBackend}
    enqueued, started, finished = (one.result for one in sent)
    assert {enqueued.id, started.id, finished.id} == {result.id}
    assert (enqueued.status, enqueued.attempts, enqueued.started_at) == ("READY", 0, None)
    assert (started.status, started.attempts, started.finished_at) == ("RUNNING", 1, None)
    assert started.started_at == started.last_attempted_at >= enqueued.enqueued_at
    assert finished == result
    assert tuple(finished) == tuple(result)
    assert len({enqueued, started, finished}) == 3


def test_a_failure_is_signalled():
    with heard(signals.task_finished) as sent:
        result = tasks.fail.enqueue()
    assert [one.result for one in sent] == [result]
    assert sent[0].result.errors == result.errors


def test_a_receiver_of_one_sender_hears_only_that():
    sent = []

    def receive(**kwargs):
        sent.append(kwargs)

    signals.task_finished.connect(receive, sender=object)
    try:
        tasks.add.enqueue(1)
    finally:
        signals.task_finished.disconnect(receive, sender=object)
    assert sent == []


def test_what_happens_is_logged_as_django_does(caplog):
    caplog.set_level(logging.DEBUG, "django.tasks")
    result = tasks.add.enqueue(1)
    path = "tests.unit.tasks.add"
    assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
        ("django.tasks", "DEBUG", f"Task id={result.id} path={path} enqueued backend=default"),
        ("django.tasks", "INFO", f"Task id={result.id} path={path} state=RUNNING"),
        ("django.tasks", "INFO", f"Task id={result.id} path={path} state=SUCCESSFUL"),
    ]
    assert not any(one.exc_info for one in caplog.records)


def test_a_failure_is_logged_with_its_traceback(caplog):
    caplog.set_level(logging.INFO, "django.tasks")
    result = tasks.fail.enqueue()
    started, failed = caplog.records
    assert started.levelname == "INFO"
    assert failed.levelname == "ERROR"
    assert failed.getMessage() == f"Task id={result.id} path=tests.unit.tasks.fail state=FAILED"
    assert failed.exc_info[0] is ValueError


# What is refused


def test_results_are_not_kept():
    backend = task_backends["default"]
    result = tasks.add.enqueue(1)
    for read in (
        lambda: backend.get_result(result.id),
        lambda: asyncio.run(backend.aget_result(result.id)),
        lambda: tasks.add.get_result(result.id),
        result.refresh,
        lambda: asyncio.run(result.arefresh()),
    ):
        with pytest.raises(NotImplementedError, match=NOT_KEPT):
            read()


def test_run_after_is_refused():
    with pytest.raises(InvalidTask, match="Backend does not support run_after"):
        tasks.add.using(run_after=timezone.now() + timedelta(hours=1))


def test_bad_arguments_run_nothing():
    with heard() as sent, pytest.raises(TypeError, match="Unsupported type: Argument 1 is a set"):
        tasks.add.enqueue({1})
    assert sent == []


def test_an_unknown_backend_class_is_told():
    with (
        override_settings(TASKS={"default": {"BACKEND": "does.not.exist"}}),
        pytest.raises(InvalidTaskBackend, match="Could not find backend"),
    ):
        tasks.add.enqueue(1)


# Settings


def test_without_time_zones_all_moments_are_naive():
    with override_settings(USE_TZ=False), heard() as sent:
        result = tasks.add.enqueue(1)
        for one in [result, *(one.result for one in sent)]:
            assert one.enqueued_at.tzinfo is None
        assert result.started_at.tzinfo is result.finished_at.tzinfo is None
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert abs(result.finished_at - timezone.now()) < timedelta(minutes=1)


def test_each_thread_has_a_backend_and_all_share_the_settings():
    mine = task_backends["default"]
    theirs = []
    thread = threading.Thread(target=lambda: theirs.append(task_backends["default"]))
    thread.start()
    thread.join()
    assert theirs[0] is not mine
    assert theirs[0].config is mine.config


def test_a_task_of_the_script_that_was_started_is_taken():
    def script():
        return "ran"

    script.__module__, script.__qualname__ = "__main__", "script"
    assert task(script).enqueue().return_value == "ran"
    with pytest.raises(InvalidTask, match="declared in the script that was started"):
        task(backend="kept")(script)


@pytest.mark.django_db(transaction=True)
def test_it_does_not_wait_for_the_end_of_a_transaction():
    from django.db import transaction

    with transaction.atomic():
        assert tasks.add.enqueue(1).is_finished


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [True, False])
def test_what_an_atomic_task_wrote_is_undone_if_it_fails(is_atomic):
    from django.contrib.auth.models import Group

    for name in ("raises", "returns"):
        result = tasks.make_group.using(atomic=is_atomic).enqueue(name)
        assert_finished(result, TaskResultStatus.FAILED)
    assert Group.objects.count() == (0 if is_atomic else 2)
    result = tasks.make_group.using(atomic=is_atomic).enqueue("well")
    assert_finished(result, TaskResultStatus.SUCCESSFUL)
    assert Group.objects.get(name="well")


# Policy, metadata, cancelling


def test_a_task_that_fails_is_not_run_again():
    result = tasks.fail.using(max_attempts=5, backoff=0).enqueue()
    assert_finished(result, TaskResultStatus.FAILED)
    assert len(result.errors) == 1
    assert result.task == tasks.fail.using(max_attempts=5, backoff=0)


def test_what_the_caller_and_the_task_note_down_is_in_the_result():
    assert tasks.add.using(metadata={"a": 1}).enqueue(1).metadata == {"a": 1}
    result = tasks.note.using(metadata={"a": 1}).enqueue({"b": 2})
    assert result.metadata == result.return_value == {"a": 1, "b": 2, "last": 1}
    assert result.progress == Progress(1, 2, "half")
    assert tasks.note.enqueue({}).metadata == {"last": 1}


def test_a_task_that_fails_keeps_what_it_noted_down():
    result = tasks.note.enqueue({"b": 2}, "out of order")
    assert "out of order" in result.errors[0].traceback
    assert (result.metadata, result.progress) == ({"b": 2, "last": 1}, Progress(1, 2, "half"))


@pytest.mark.parametrize("bad", [{"_a": 1}, {"a": "x" * 100}])
def test_metadata_that_is_refused_fails_the_task(bad):
    backend = {"BACKEND": "mainspring.backends.immediate.ImmediateBackend"}
    with override_settings(TASKS={"default": {**backend, "OPTIONS": {"MAX_PAYLOAD": 200}}}):
        given = tasks.note.using(metadata={"b": "y" * 100})
        assert_finished(given.enqueue({}), TaskResultStatus.SUCCESSFUL)
        result = given.enqueue(bad)
        assert result.status == TaskResultStatus.FAILED
        assert "The metadata" in result.errors[0].traceback
        assert result.metadata == {"b": "y" * 100}


def test_what_has_finished_is_not_cancelled():
    result = tasks.add.enqueue(1)
    assert not result.cancel()
    assert not asyncio.run(result.acancel())


class Big:
    pass


big = weakref.WeakSet()


@task
def fails_with_much():
    much = Big()
    big.add(much)
    raise ValueError(f"with {type(much).__name__}")


def test_nothing_of_a_failed_call_is_alive_after_it(monkeypatch):
    monkeypatch.setattr(logging.getLogger("django.tasks"), "disabled", True)  # pytest keeps records
    gc.disable()
    try:
        result = fails_with_much.enqueue()
        assert result.status == TaskResultStatus.FAILED
        assert len(big) == 0
    finally:
        gc.enable()
