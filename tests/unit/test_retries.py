import pickle
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from mainspring import TaskContext, TaskResult, TaskResultStatus
from mainspring.core import codec, retries
from mainspring.core.retries import exponential, fixed, linear
from tests.naming import name_of

ERROR = ValueError("no")
RESULT = TaskResult(
    id="0" * 32,
    status=TaskResultStatus.READY,
    task_path="app.tasks.work",
    queue_name="default",
    priority=0,
    run_after=None,
    backend="default",
    enqueued_at=datetime(2026, 1, 1, tzinfo=UTC),
    worker_log=("w1", "w2"),
)
NO_WAITS = [-1, -0.001, float("nan"), float("inf"), 1e11, 10**400, "1", None, True, [1]]


def waits(backoff, number=6):
    """The seconds after the first failures."""
    return [backoff.seconds(failures) for failures in range(1, number + 1)]


def wait_after(backoff, failures=1):
    return retries.wait_after(backoff, ERROR, RESULT, failures)


# The rules


def test_exponential_grows_up_to_its_maximum():
    assert waits(exponential(jitter=False), 12)[:5] == [1, 2, 4, 8, 16]
    assert waits(exponential(jitter=False), 12)[-3:] == [512, 600, 600]
    assert waits(exponential(0.5, 3, 10, jitter=False), 4) == [0.5, 1.5, 4.5, 10]
    assert waits(exponential(5, 1, 60, jitter=False), 3) == [5, 5, 5]
    assert waits(exponential(5, 2, 3, jitter=False), 2) == [3, 3]


@pytest.mark.parametrize("factor", [2, 2.0, 1.5, 1e10])
@pytest.mark.parametrize("initial", [1, 0.3])
def test_exponential_is_never_too_large_to_compute(initial, factor):
    assert exponential(initial, factor, jitter=False).seconds(20_000) == 600
    assert 0 <= exponential(initial, factor).seconds(20_000) <= 600


def test_jitter_draws_from_all_that_is_below():
    random.seed(1)
    backoff = exponential(8, 2, 100)
    for failures, longest in ((1, 8), (2, 16), (10, 100)):
        drawn = [backoff.seconds(failures) for _ in range(1000)]
        assert 0 <= min(drawn) < longest / 20
        assert longest * 0.95 < max(drawn) <= longest
        assert longest * 0.45 < sum(drawn) / len(drawn) < longest * 0.55


def test_linear_grows_by_its_step_up_to_its_maximum():
    assert waits(linear(), 3) == [1, 2, 3]
    assert waits(linear(2.5, 7), 4) == [2.5, 5, 7, 7]
    assert linear().seconds(10**9) == 600


def test_fixed_is_the_same_each_time():
    assert waits(fixed(30), 3) == [30, 30, 30]
    assert waits(fixed(0), 2) == [0, 0]


@pytest.mark.parametrize("number", NO_WAITS, ids=name_of)
@pytest.mark.parametrize(
    ("helper", "name"),
    [
        (exponential, "initial"),
        (exponential, "factor"),
        (exponential, "maximum"),
        (linear, "step"),
        (linear, "maximum"),
        (fixed, "seconds"),
    ],
)
def test_numbers_that_make_no_wait_are_named(helper, name, number):
    with pytest.raises(ValueError, match=f"{name} must be a number of at least 0, not"):
        helper(**{name: number})


def test_rules_are_values():
    for made, again in ((exponential(2), exponential(2)), (linear(2), linear(2))):
        assert made == again
        assert hash(made) == hash(again)
        assert pickle.loads(pickle.dumps(made)) == made
        with pytest.raises(AttributeError):
            made.maximum = 5
    assert exponential(2) != exponential(3)
    assert fixed(2) != linear(2)


# Whatever a backoff is


def one(context):
    return context.attempt


def two(error, task_result):
    return len(str(error)) + task_result.attempts


class Backoffs:
    def one(self, context):
        return 1

    def two(self, error, task_result):
        return 2


@dataclass
class Scaled:
    """Cannot be hashed."""

    factor: int

    def __call__(self, error, task_result):
        return self.factor * task_result.attempts


CALLABLES = [
    (one, 2),
    (two, 4),
    (lambda context: 5, 5),
    (lambda error, result: 5, 5),
    (lambda error, result, most=7: most, 7),
    (lambda error, result, *, most=7: most, 7),
    (lambda context, *rest, **more: 6, 6),
    (Backoffs().one, 1),
    (Backoffs().two, 2),
    (Scaled(10), 20),
    (partial(two, task_result=RESULT), None),
    (partial(lambda most, error, result: most, 9), 9),
]


@pytest.mark.parametrize(
    "backoff",
    [0, 0.5, 1e10, timedelta(), timedelta(days=1), exponential(), linear(), fixed(1)],
    ids=name_of,
)
def test_what_is_a_backoff(backoff):
    assert retries.problem_of(backoff) == ""


@pytest.mark.parametrize("backoff", [function for function, _ in CALLABLES], ids=name_of)
def test_functions_of_one_or_two_arguments_are_backoffs(backoff):
    assert retries.problem_of(backoff) == ""


@pytest.mark.parametrize(
    "backoff",
    [
        *NO_WAITS,
        timedelta(seconds=-1),
        timedelta.max,
        timedelta(seconds=1e10, microseconds=1),
        lambda: 1,
        lambda a, b, c: 1,
        lambda *a: 1,
        lambda error, result, *, most: 1,
        lambda *, context: 1,
        {"fixed": 1},
        dict,
    ],
    ids=name_of,
)
def test_what_is_none(backoff):
    assert "exponential()" in retries.problem_of(backoff)


@pytest.mark.parametrize(
    ("backoff", "microseconds"),
    [
        (0, 0),
        (1.5, 1_500_000),
        (timedelta(milliseconds=20), 20_000),
        (fixed(3), 3_000_000),
        (linear(3), 6_000_000),
        (exponential(3, 10, jitter=False), 30_000_000),
    ],
)
def test_the_wait_is_told_in_microseconds(backoff, microseconds):
    assert wait_after(backoff, failures=2) == microseconds


@pytest.mark.parametrize(("function", "seconds"), CALLABLES[:-2] + CALLABLES[-1:], ids=name_of)
def test_a_function_is_asked(function, seconds):
    assert wait_after(function) == seconds * 1_000_000


def test_a_function_of_two_gets_the_error_and_the_result():
    asked = []
    wait_after(lambda error, result: asked.append((error, result)))
    ((error, result),) = asked
    assert error is ERROR
    assert result is RESULT


def test_a_function_of_one_gets_the_context():
    asked = []
    wait_after(asked.append)
    (context,) = asked
    assert isinstance(context, TaskContext)
    assert context.task_result is RESULT
    assert context.attempt == 2


def test_a_function_may_return_a_timedelta_or_none():
    assert wait_after(lambda context: timedelta(minutes=1)) == 60_000_000
    assert wait_after(lambda context: None) is None


@pytest.mark.parametrize(
    "returned",
    ["5", -1, float("nan"), float("inf"), 2e10, timedelta.max, True, exponential()],
    ids=name_of,
)
def test_a_function_that_returns_no_wait_is_told_so(returned):
    with pytest.raises(TypeError, match=r"The backoff of app\.tasks\.work returned .*; it must"):
        wait_after(lambda context: returned)


def test_what_a_function_raises_comes_through():
    def fail(context):
        raise LookupError("no such tariff")

    with pytest.raises(LookupError, match="no such tariff"):
        wait_after(fail)


# As JSON


@pytest.mark.parametrize(
    "backoff",
    [5, 0.25, exponential(), exponential(1, 3, 9, jitter=False), linear(2, 8), fixed(4)],
    ids=name_of,
)
def test_it_comes_back_from_json(backoff):
    stored = codec.encode(retries.to_json(backoff))
    again = retries.from_json(codec.decode(stored))
    assert (type(again), again) == (type(backoff), backoff)


def test_a_timedelta_comes_back_as_seconds():
    assert retries.from_json(retries.to_json(timedelta(minutes=1.5))) == 90


def test_a_function_is_no_json():
    with pytest.raises(TypeError):
        retries.to_json(one)
