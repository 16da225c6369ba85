"""The history of a call: bounded, and still counted right."""

import pytest

from mainspring.core import codec, history, outcomes
from mainspring.core.errors import TaskError, errors_in
from mainspring.core.history import FIRST, LAST, MOST_BYTES, OMITTED
from mainspring.core.jobs import Job, State
from mainspring.core.results import TaskResult
from mainspring.exceptions import OutcomeLost, WorkerLost
from tests.contract.jobs import job

CRASH = TaskError(f"{WorkerLost.__module__}.{WorkerLost.__qualname__}", "died\n")
NO_FAULT = TaskError(f"{OutcomeLost.__module__}.{OutcomeLost.__qualname__}", "lost\n")


def raised(number: int, size: int = 0) -> TaskError:
    return TaskError("builtins.ValueError", f"ValueError: {number}\n" + "x" * size)


def after(one: Job, *errors: TaskError, first: int = 0) -> Job:
    """Return a job after attempts that have ended so."""
    for number, error in enumerate(errors, first):
        outcome = outcomes.failed(one, f"worker-{number}", number, number + 1, error, number)
        one = one._replace(**outcome._asdict())
    return one


def texts(one: Job) -> list[str]:
    return [error.traceback for error in errors_in(one.errors or b"[]")]


@pytest.mark.parametrize("number", [1, 2, FIRST + LAST])
def test_all_are_kept_while_they_are_few(number: int) -> None:
    errors = [raised(i) for i in range(number)]
    one = after(job(), *errors)
    assert texts(one) == [error.traceback for error in errors]
    assert TaskResult.from_job(one).worker_ids == [f"worker-{i}" for i in range(number)]


@pytest.mark.parametrize("number", [FIRST + LAST + 1, FIRST + LAST + 2, 1_000])
def test_of_many_the_first_and_the_last_are_kept_and_the_others_counted(number: int) -> None:
    one = after(job(), *(raised(i) for i in range(number)))
    found = texts(one)
    omitted = number - FIRST - LAST
    expected = [*range(FIRST), *range(number - LAST, number)]
    assert found[:FIRST] + found[FIRST + 1 :] == [f"ValueError: {i}\n" for i in expected]
    assert f" {omitted:,} error" in found[FIRST]
    assert outcomes.failures_of(one) == number
    result = TaskResult.from_job(one)
    assert result.attempts == number
    assert result.worker_ids == [f"worker-{i}" for i in expected]
    assert len(result.errors) == FIRST + LAST + 1


def test_what_stands_for_the_others_looks_like_an_error() -> None:
    one = after(job(), *(raised(i) for i in range(50)))
    error = TaskResult.from_job(one).errors[FIRST]
    assert error.exception_class_path == OMITTED
    assert issubclass(error.exception_class, Exception)
    assert error.worker_id is None
    assert error.started_at is not None
    assert error.finished_at is not None
    assert error.started_at < error.finished_at


def test_crashes_and_what_was_no_fault_are_counted_apart() -> None:
    kinds = [raised(0), CRASH, NO_FAULT, raised(1)]
    one = after(job(), *(kinds * 25))
    assert outcomes.failures_of(one) == 50
    assert history.crashes_in(one.errors) == 25
    lost = outcomes.lost(one, "worker", 1, 2, CRASH, max_crashes=26)
    assert lost.state == State.FAILED
    assert outcomes.lost(one, "worker", 1, 2, CRASH, max_crashes=27).state == State.READY


def test_long_errors_are_fewer_and_the_newest_is_kept() -> None:
    size = MOST_BYTES // 10
    one = after(job(), *(raised(i, size) for i in range(30)))
    assert one.errors is not None
    assert len(one.errors) < MOST_BYTES + 2 * size
    found = texts(one)
    assert found[0].startswith("ValueError: 0\n")
    assert found[-1].startswith("ValueError: 29\n")
    assert outcomes.failures_of(one) == 30
    one = after(one, raised(30, 3 * MOST_BYTES), first=30)
    assert texts(one)[-1].startswith("ValueError: 30\n")
    one = after(one, raised(31), first=31)
    assert len(one.errors or b"") < 2 * MOST_BYTES
    assert outcomes.failures_of(one) == 32


def test_after_one_that_is_too_long_the_newest_is_kept() -> None:
    one = after(job(), raised(0, 2 * MOST_BYTES), raised(1))
    omitted, newest = texts(one)
    assert "1 error is left out here" in omitted
    assert newest == "ValueError: 1\n"
    assert outcomes.failures_of(one) == 2


def test_a_history_of_megabytes_as_earlier_versions_kept_it_is_shortened() -> None:
    entries = [("builtins.ValueError", "x" * 50_000, i, i, "w") for i in range(250)]
    old = job(errors=codec.encode(entries), worker_ids=codec.encode(["w"] * 100_000))
    one = after(old, raised(1))
    assert len(one.errors or b"") < MOST_BYTES + 100_000
    assert len(one.worker_ids or b"") < 1_000
    assert outcomes.failures_of(one) == 251
    assert TaskResult.from_job(one).attempts == 100_001
    assert TaskResult.from_job(after(one, raised(2))).attempts == 100_002


def test_what_cancels_is_the_last() -> None:
    one = after(job(), *(raised(i) for i in range(50)))
    errors = errors_in(outcomes.cancelled_errors(one.errors))
    assert "TaskCancelled" in errors[-1].exception_class_path
    assert len(errors) == FIRST + LAST + 1
