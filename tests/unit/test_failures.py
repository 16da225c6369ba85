from datetime import timedelta

import pytest

from mainspring import (
    Discard,
    Retry,
    Snooze,
    TaskCancelled,
    TaskContext,
    TaskError,
    TaskResultStatus,
    TaskTimeout,
    fixed,
    linear,
)
from mainspring.core import codec, outcomes
from mainspring.core.calls import describe
from mainspring.core.failures import outcome_of_failure
from mainspring.core.jobs import State
from mainspring.core.policy import Policy
from tests.unit.test_outcomes import LOST, STOPPED, job

SECOND = 10**6
POLICY = Policy(3, linear(2), None, 3)
NOW = 100 * SECOND
STARTED = 99 * SECOND
ERROR = ValueError("no such order")


def after(raised, one=None, policy=POLICY):
    """The outcome of an attempt that ended with an exception."""
    return outcome_of_failure(one or job(), policy, "w1", STARTED, NOW, raised)


def failed_before(*errors):
    """A job whose earlier attempts ended with these."""
    one = job()
    for number, error in enumerate(errors):
        told = error if isinstance(error, TaskError) else describe(error)
        done = outcomes.failed(one, f"w-{number}", number, number + 1, told, 50)
        one = one._replace(**done._asdict())
    return one


def errors_of(outcome):
    return codec.decode(outcome.errors)


def test_another_attempt_follows_after_the_backoff():
    done = after(ERROR)
    assert (done.state, done.available_at) == (State.SCHEDULED, NOW + 2 * SECOND)
    assert (done.started_at, done.last_attempted_at, done.finished_at) == (STARTED, STARTED, None)
    assert done.worker_ids == b'["w1"]'
    ((path, text, *where),) = errors_of(done)
    assert path == "builtins.ValueError"
    assert "ValueError: no such order" in text
    assert where == [STARTED, NOW, "w1"]


def test_the_backoff_goes_by_how_many_failures_there_were():
    done = after(ERROR, failed_before(ERROR))
    assert (done.state, done.available_at) == (State.SCHEDULED, NOW + 4 * SECOND)
    assert [worker for *_, worker in errors_of(done)] == ["w-0", "w1"]


def test_a_wait_of_nothing_is_at_once():
    done = after(ERROR, policy=POLICY._replace(backoff=0))
    assert (done.state, done.available_at) == (State.READY, NOW)


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_so_many_attempts_may_fail(max_attempts):
    policy = POLICY._replace(max_attempts=max_attempts)
    one = failed_before(*[ERROR] * (max_attempts - 1))
    done = after(ERROR, one, policy)
    assert (done.state, done.finished_at) == (State.FAILED, NOW)
    assert done.available_at == one.available_at
    assert len(errors_of(done)) == max_attempts
    if max_attempts > 1:
        assert after(ERROR, failed_before(*[ERROR] * (max_attempts - 2)), policy).state < 3


def test_crashes_and_shutdowns_use_up_no_attempts():
    outcome_lost = TaskError("mainspring.exceptions.OutcomeLost", "")
    one = failed_before(LOST, ERROR, STOPPED, outcome_lost, LOST)
    assert after(ERROR, one).available_at == NOW + 4 * SECOND
    assert after(ERROR, failed_before(LOST, ERROR, STOPPED, ERROR)).state == State.FAILED


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), TaskTimeout("too long")])
def test_whatever_is_raised_counts_as_a_failure(raised):
    assert after(raised).state == State.SCHEDULED
    assert after(raised, failed_before(raised, raised)).state == State.FAILED


# What a task asks for


@pytest.mark.parametrize("raised", [Discard(), Discard("no customer"), TaskCancelled("gone")])
def test_some_errors_are_final(raised):
    done = after(raised)
    assert (done.state, done.finished_at) == (State.FAILED, NOW)
    ((path, text, *_),) = errors_of(done)
    assert path == f"mainspring.exceptions.{type(raised).__name__}"
    assert str(raised) in text


def test_retry_leaves_the_wait_to_the_backoff():
    done = after(Retry("rate limit"))
    assert (done.state, done.available_at) == (State.SCHEDULED, NOW + 2 * SECOND)
    ((path, text, *_),) = errors_of(done)
    assert path == "mainspring.exceptions.Retry"
    assert "rate limit" in text


@pytest.mark.parametrize("wait", [7, timedelta(seconds=7)])
def test_retry_may_say_when(wait):
    def unasked(context):
        raise AssertionError

    done = after(Retry(after=wait), policy=POLICY._replace(backoff=unasked))
    assert (done.state, done.available_at) == (State.SCHEDULED, NOW + 7 * SECOND)


def test_retry_at_once():
    assert after(Retry(after=0))[:4] == ("a" * 32, 99, State.READY, NOW)


def test_retry_uses_up_an_attempt():
    assert after(Retry(after=7), failed_before(ERROR, ERROR)).state == State.FAILED


def test_the_backoff_is_asked_about_the_cause_of_a_retry():
    asked = []

    def ask(error, result):
        asked.append(error)
        return 1

    policy = POLICY._replace(backoff=ask)
    try:
        raise Retry("later") from ERROR
    except Retry as retry:
        text = errors_of(after(retry, policy=policy))[0][1]
    assert "ValueError: no such order" in text
    assert "Retry: later" in text
    alone = Retry()
    after(alone, policy=policy)
    assert asked == [ERROR, alone]


@pytest.mark.parametrize(
    ("wait", "state"), [(5, State.SCHEDULED), (timedelta(seconds=5), State.SCHEDULED)]
)
def test_snooze_costs_no_attempt_and_leaves_no_error(wait, state):
    one = failed_before(ERROR, ERROR)  # one attempt is left
    done = after(Snooze(after=wait), one)
    assert (done.state, done.available_at) == (state, NOW + 5 * SECOND)
    for name in ("errors", "worker_ids", "started_at", "last_attempted_at"):
        assert getattr(done, name) == getattr(one, name)
    assert (done.finished_at, done.return_value) == (None, None)


def test_snooze_for_nothing_is_at_once():
    assert after(Snooze(after=0))[2:4] == (State.READY, NOW)


# Functions as a backoff


def test_a_function_may_say_that_no_attempt_follows():
    done = after(ERROR, policy=POLICY._replace(backoff=lambda context: None))
    assert (done.state, done.finished_at) == (State.FAILED, NOW)
    assert [path for path, *_ in errors_of(done)] == ["builtins.ValueError"]


def test_a_function_sees_this_attempt_and_its_error():
    asked = []
    one = failed_before(LOST, ERROR)._replace(metadata=b'{"tariff":5}')

    def by_context(context):
        asked.append(context)
        return 1

    def by_result(error, result):
        asked.append(result)
        return 1

    after(TimeoutError("slow"), one, POLICY._replace(backoff=by_context))
    after(TimeoutError("slow"), one, POLICY._replace(backoff=by_result))
    context, result = asked
    assert isinstance(context, TaskContext)
    assert context.attempt == result.attempts == 3
    for seen in (context.task_result, result):
        assert [error.exception_class_path for error in seen.errors] == [
            "mainspring.exceptions.WorkerLost",
            "builtins.ValueError",
            "builtins.TimeoutError",
        ]
        assert seen.errors[-1].worker_id == seen.worker_ids[-1] == "w1"
        assert "slow" in seen.errors[-1].traceback
        assert seen.metadata == {"tariff": 5}
        assert seen.status == TaskResultStatus.FAILED  # unless the function says otherwise


def test_a_function_is_not_asked_where_no_attempt_is_left():
    def unasked(context):
        raise AssertionError

    policy = POLICY._replace(backoff=unasked)
    for raised, one in (
        (ERROR, failed_before(ERROR, ERROR)),
        (Discard(), None),
        (Snooze(after=1), None),
        (TaskCancelled(), None),
    ):
        assert all(
            "AssertionError" not in text for _, text, *_ in stored_errors(raised, one, policy)
        )


def stored_errors(raised, one, policy):
    done = after(raised, one, policy)
    return [] if done.errors is None else errors_of(done)


def raise_plainly(context):
    raise LookupError("no tariff")


def raise_from_another(context):
    try:
        {}["tariff"]
    except KeyError as error:
        raise LookupError("no tariff") from error


def raise_from_none(context):
    raise LookupError("no tariff") from None


@pytest.mark.parametrize("backoff", [raise_plainly, raise_from_another, raise_from_none])
@pytest.mark.parametrize("is_handled", [True, False])
def test_what_a_function_raises_ends_it_and_both_errors_are_shown(backoff, is_handled):
    policy = POLICY._replace(backoff=backoff)
    if is_handled:
        try:
            raise ERROR
        except ValueError as error:
            done = after(error, policy=policy)
    else:
        done = after(ERROR, policy=policy)
    assert (done.state, done.finished_at) == (State.FAILED, NOW)
    ((path, text, *where),) = errors_of(done)
    assert path == "builtins.LookupError"
    assert text.count("ValueError: no such order") == 1
    assert text.count("LookupError: no tariff") == 1
    assert text.index("no such order") < text.index("no tariff")
    assert where == [STARTED, NOW, "w1"]


@pytest.mark.parametrize("wait", ["soon", -1, float("nan")])
def test_what_is_no_wait_ends_it_and_both_errors_are_shown(wait):
    done = after(ERROR, policy=POLICY._replace(backoff=lambda context: wait))
    assert done.state == State.FAILED
    ((path, text, *_),) = errors_of(done)
    assert path == "builtins.TypeError"
    assert "ValueError: no such order" in text
    assert f"The backoff of app.tasks.work returned {wait!r}; it must return" in text


def test_a_function_that_exits_does_not_take_the_worker_along():
    def leave(context):
        raise SystemExit(3)

    done = after(ERROR, policy=POLICY._replace(backoff=leave))
    assert (done.state, errors_of(done)[0][0]) == (State.FAILED, "builtins.SystemExit")


def test_a_fixed_wait_of_a_fraction_is_kept_to_the_microsecond():
    done = after(ERROR, policy=POLICY._replace(backoff=fixed(0.000_001)))
    assert (done.state, done.available_at) == (State.SCHEDULED, NOW + 1)


def test_a_wait_that_was_changed_to_what_is_none_fails_the_call():
    for raised in (Snooze(after=1), Retry(after=1)):
        raised.after = timedelta.max
        outcome = after(raised)
        assert (outcome.state, outcome.finished_at) == (
            (State.FAILED, NOW) if isinstance(raised, Retry) else (State.SCHEDULED, None)
        )
        assert outcome.available_at < NOW + 10 * SECOND


def test_a_class_without_a_proper_name_is_told_escaped():
    class Nameless(Exception):
        pass

    Nameless.__qualname__ = "\ud800"
    outcome = after(Nameless(), policy=POLICY._replace(max_attempts=1))
    ((path, *_),) = errors_of(outcome)
    assert path.endswith("\\ud800")
