import pytest

from mainspring import TaskError
from mainspring.core import codec, outcomes
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.core.outcomes import MAX_CRASHES

ERROR = TaskError("builtins.ValueError", "text")
LOST = TaskError("mainspring.exceptions.WorkerLost", "lost")
STOPPED = TaskError("mainspring.exceptions.WorkerStopped", "stopped")


def stored(error, started_at=0, finished_at=0, worker_id="w0"):
    """How a job keeps the error of an attempt."""
    return [error.exception_class_path, error.traceback, started_at, finished_at, worker_id]


def job(**changes):
    fields = {
        "id": "a" * 32,
        "backend": "default",
        "task_path": "app.tasks.work",
        "queue_name": "default",
        "priority": 0,
        "available_at": 10,
        "state": State.RUNNING,
        "claim": 99,
        "arguments": codec.NO_ARGUMENTS,
        "run_after": None,
        "enqueued_at": 10,
    }
    return Job(**{**fields, **changes})


SECOND_ATTEMPT = job(
    started_at=20, last_attempted_at=20, worker_ids=b'["w0"]', errors=codec.encode([stored(LOST)])
)


def test_success():
    done = outcomes.succeeded(job(), "w1", 30, 40, b"1")
    assert (done.id, done.claim, done.state) == ("a" * 32, 99, State.SUCCESSFUL)
    assert (done.started_at, done.last_attempted_at, done.finished_at) == (30, 30, 40)
    assert (done.worker_ids, done.errors, done.return_value) == (b'["w1"]', None, b"1")


def test_success_at_the_second_attempt_keeps_what_was():
    done = outcomes.succeeded(SECOND_ATTEMPT, "w1", 30, 40, None)
    assert (done.started_at, done.last_attempted_at) == (20, 30)
    assert (done.worker_ids, done.errors) == (b'["w0","w1"]', SECOND_ATTEMPT.errors)


def test_failure_adds_the_error():
    done = outcomes.failed(SECOND_ATTEMPT, "w1", 30, 40, ERROR)
    assert (done.state, done.finished_at, done.return_value) == (State.FAILED, 40, None)
    assert codec.decode(done.errors) == [stored(LOST), stored(ERROR, 30, 40, "w1")]
    assert codec.decode(done.worker_ids) == ["w0", "w1"]


@pytest.mark.parametrize(("retry_at", "state"), [(41, State.SCHEDULED), (40, State.READY)])
def test_failure_with_an_attempt_to_come(retry_at, state):
    done = outcomes.failed(SECOND_ATTEMPT, "w1", 30, 40, ERROR, retry_at)
    assert (done.id, done.claim, done.state) == ("a" * 32, 99, state)
    assert (done.available_at, done.finished_at, done.return_value) == (retry_at, None, None)
    assert (done.started_at, done.last_attempted_at) == (20, 30)
    assert codec.decode(done.errors) == [stored(LOST), stored(ERROR, 30, 40, "w1")]
    assert codec.decode(done.worker_ids) == ["w0", "w1"]


def test_failure_without_one_leaves_the_order_alone():
    assert outcomes.failed(SECOND_ATTEMPT, "w1", 30, 40, ERROR).available_at == 10


def test_failures_are_those_of_the_task_itself():
    others = [LOST, STOPPED, TaskError("mainspring.exceptions.OutcomeLost", "")]
    timeout = TaskError("mainspring.exceptions.TaskTimeout", "")
    assert outcomes.failures_of(job()) == 0
    for errors, number in (
        (others, 0),
        ([*others, ERROR], 1),
        ([ERROR, LOST, ERROR, timeout], 3),
    ):
        kept = codec.encode([stored(error) for error in errors])
        assert outcomes.failures_of(job(errors=kept)) == number


@pytest.mark.parametrize(("after", "state"), [(5, State.SCHEDULED), (0, State.READY)])
def test_a_snoozed_job_is_kept_without_an_attempt(after, state):
    done = outcomes.snoozed(SECOND_ATTEMPT, 40, after)
    assert (done.state, done.available_at, done.finished_at) == (state, 40 + after, None)
    for name in ("started_at", "last_attempted_at", "worker_ids", "errors"):
        assert getattr(done, name) == getattr(SECOND_ATTEMPT, name)


@pytest.mark.parametrize(("age", "wait"), [(0, 5), (10, 5), (40, 10), (400, 100), (10_000, 300)])
def test_a_postponed_job_waits_the_longer_the_older_it_is(age, wait):
    now = 10 + age * SECOND
    done = outcomes.postponed(job(), now)
    assert (done.state, done.available_at) == (State.SCHEDULED, now + wait * SECOND)
    assert (done.worker_ids, done.errors, done.finished_at) == (None, None, None)


def test_a_lost_job_is_ready_again_with_the_error_and_the_attempt():
    done = outcomes.lost(job(), "w1", 30, 50, LOST, MAX_CRASHES)
    assert (done.state, done.available_at, done.finished_at) == (State.READY, 10, None)
    assert codec.decode(done.errors) == [stored(LOST, 30, 50, "w1")]
    assert (done.worker_ids, done.last_attempted_at) == (b'["w1"]', 30)


@pytest.mark.parametrize(
    ("error", "before", "most", "state"),
    [
        (LOST, [LOST] * (MAX_CRASHES - 2), MAX_CRASHES, State.READY),
        (LOST, [LOST] * (MAX_CRASHES - 1), MAX_CRASHES, State.FAILED),
        (LOST, [LOST] * MAX_CRASHES, MAX_CRASHES + 2, State.READY),
        (LOST, [], 1, State.FAILED),
        (LOST, [ERROR] * 10, MAX_CRASHES, State.READY),
        (LOST, [STOPPED] * 10, MAX_CRASHES, State.READY),
        (STOPPED, [STOPPED] * 10, MAX_CRASHES, State.READY),
        (STOPPED, [LOST] * (MAX_CRASHES - 1), MAX_CRASHES, State.READY),
    ],
)
def test_so_many_crashes_fail_a_job_and_shutdowns_do_not(error, before, most, state):
    kept = codec.encode([stored(one) for one in before])
    done = outcomes.lost(job(errors=kept), "w1", 30, 50, error, most)
    assert done.state == state
    assert done.finished_at == (50 if state == State.FAILED else None)
    assert len(codec.decode(done.errors)) == len(before) + 1


def test_an_untouched_job_is_as_it_was():
    done = outcomes.untouched(SECOND_ATTEMPT)
    assert (done.state, done.claim) == (State.READY, 99)
    for name in ("available_at", "started_at", "last_attempted_at", "worker_ids", "errors"):
        assert getattr(done, name) == getattr(SECOND_ATTEMPT, name)


def test_a_cancelled_job_says_so():
    ((path, text),) = codec.decode(outcomes.cancelled_errors(None))
    assert path == "mainspring.exceptions.TaskCancelled"
    assert "cancelled before it started" in text
    ((_, text),) = codec.decode(outcomes.cancelled_errors(None, was_running=True))
    assert "cancelled while it ran" in text
    before = codec.encode([stored(ERROR)])
    assert codec.decode(outcomes.cancelled_errors(before))[0] == stored(ERROR)
