import pytest

from mainspring import TaskError
from mainspring.core import codec, outcomes
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.core.outcomes import MAX_CRASHES

ERROR = TaskError("builtins.ValueError", "text")
LOST = TaskError("mainspring.exceptions.WorkerLost", "lost")
STOPPED = TaskError("mainspring.exceptions.WorkerStopped", "stopped")


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
    started_at=20, last_attempted_at=20, worker_ids=b'["w0"]', errors=codec.encode([LOST])
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
    assert codec.decode(done.errors) == [list(LOST), list(ERROR)]
    assert codec.decode(done.worker_ids) == ["w0", "w1"]


@pytest.mark.parametrize(("age", "wait"), [(0, 5), (10, 5), (40, 10), (400, 100), (10_000, 300)])
def test_a_postponed_job_waits_the_longer_the_older_it_is(age, wait):
    now = 10 + age * SECOND
    done = outcomes.postponed(job(), now)
    assert (done.state, done.available_at) == (State.SCHEDULED, now + wait * SECOND)
    assert (done.worker_ids, done.errors, done.finished_at) == (None, None, None)


def test_a_lost_job_is_ready_again_with_the_error_and_the_attempt():
    done = outcomes.lost(job(), "w1", 30, 50, LOST)
    assert (done.state, done.available_at, done.finished_at) == (State.READY, 10, None)
    assert codec.decode(done.errors) == [list(LOST)]
    assert (done.worker_ids, done.last_attempted_at) == (b'["w1"]', 30)


@pytest.mark.parametrize(
    ("error", "before", "state"),
    [
        (LOST, [LOST] * (MAX_CRASHES - 2), State.READY),
        (LOST, [LOST] * (MAX_CRASHES - 1), State.FAILED),
        (LOST, [STOPPED] * 10, State.READY),
        (STOPPED, [STOPPED] * 10, State.READY),
    ],
)
def test_so_many_crashes_fail_a_job_and_shutdowns_do_not(error, before, state):
    done = outcomes.lost(job(errors=codec.encode(before)), "w1", 30, 50, error)
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
    assert len(codec.decode(outcomes.cancelled_errors(codec.encode([ERROR])))) == 2
