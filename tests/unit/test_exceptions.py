import pickle
from datetime import timedelta

import pytest
from django.tasks.exceptions import TaskException

from mainspring import Discard, Retry, Snooze, TaskCancelled, TaskTimeout


@pytest.mark.parametrize("wait", [0, 1.5, 1e10, timedelta(), timedelta(days=3)])
def test_a_wait_is_kept_as_it_is_given(wait):
    assert Retry(after=wait).after == wait
    assert Snooze(after=wait).after == wait


def test_only_retry_can_do_without_a_wait():
    assert Retry().after is None
    with pytest.raises(TypeError, match="after"):
        Snooze()


@pytest.mark.parametrize("kind", [Retry, Snooze])
@pytest.mark.parametrize("wait", ["5", [5], True, 5j])
def test_what_is_no_wait_is_refused(kind, wait):
    with pytest.raises(TypeError, match="after must be a number of seconds or a timedelta, not"):
        kind(after=wait)


@pytest.mark.parametrize("kind", [Retry, Snooze])
@pytest.mark.parametrize(
    "wait", [-1, timedelta(-1), float("nan"), float("inf"), 1e11, 10**400, timedelta.max]
)
def test_a_wait_of_no_sensible_length_is_refused(kind, wait):
    with pytest.raises(ValueError, match=r"after must be between 0 and 1e\+10 seconds, not"):
        kind(after=wait)


def test_snooze_needs_a_wait():
    with pytest.raises(TypeError, match="after must be a number of seconds or a timedelta"):
        Snooze(after=None)


def test_the_wait_is_given_by_name():
    with pytest.raises(TypeError):
        Retry("later", 5)
    with pytest.raises(TypeError):
        Snooze("later", 5)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Retry("rate limit"), "rate limit"),
        (Retry(), "the task asked for a retry"),
        (Snooze("not open yet", after=1), "not open yet"),
        (Snooze(after=1), "the task asked to be called later"),
        (Discard("no customer"), "no customer"),
        (Discard(), "the task discarded this call"),
    ],
)
def test_the_reason_is_told(made, text):
    assert str(made) == text
    assert isinstance(made, TaskException)


def test_a_timeout_is_one_of_pythons_own():
    assert issubclass(TaskTimeout, TimeoutError)
    assert not issubclass(TaskCancelled, TimeoutError)


@pytest.mark.parametrize(
    "made", [Retry("a", after=5), Snooze("b", after=timedelta(1)), Discard("c"), TaskTimeout("d")]
)
def test_they_can_be_sent_to_another_process(made):
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), str(again)) == (type(made), str(made))
    assert getattr(again, "after", None) == getattr(made, "after", None)
