import math
from datetime import timedelta
from types import FunctionType

import pytest
from django.tasks.exceptions import InvalidTask

from mainspring import Task, exponential, fixed, linear, task
from mainspring.core import registry
from mainspring.core.policy import Policy, carried_fields, policy_of
from tests.unit import tasks
from tests.unit.backends import KEPT

SECOND = 10**6
DEFAULTS = Policy(1, exponential(), 3600 * SECOND, 3)
CAREFUL = Policy(3, linear(2), 60 * SECOND, 5)


def carried(made):
    """What a call of a task carries."""
    return KEPT.jobs[made.enqueue().id].options


def policy_of_call(made):
    """The policy of a call of a task, as a worker finds it."""
    return policy_of(DEFAULTS, made.module_path, carried(made))


def test_a_task_that_says_nothing_has_the_backends_policy():
    assert carried(tasks.keep) is None
    assert policy_of_call(tasks.keep) == DEFAULTS


def test_a_task_that_says_all_has_its_own():
    assert carried(tasks.careful) is None
    assert policy_of_call(tasks.careful) == CAREFUL


@pytest.mark.parametrize(
    ("change", "policy"),
    [
        ({"max_attempts": 9}, {"max_attempts": 9}),
        ({"max_crashes": 1}, {"max_crashes": 1}),
        ({"backoff": 5}, {"backoff": 5}),
        ({"backoff": timedelta(minutes=1)}, {"backoff": 60.0}),
        ({"backoff": exponential(2)}, {"backoff": exponential(2)}),
        ({"backoff": fixed(2)}, {"backoff": fixed(2)}),
        ({"timeout": 0.25}, {"timeout": 250_000}),
        ({"timeout": timedelta(minutes=1)}, {"timeout": 60 * SECOND}),
        ({"timeout": math.inf}, {"timeout": None}),
        ({"max_attempts": 2, "timeout": 5}, {"max_attempts": 2, "timeout": 5 * SECOND}),
    ],
)
@pytest.mark.parametrize(("declared", "before"), [(tasks.keep, DEFAULTS), (tasks.careful, CAREFUL)])
def test_one_call_can_have_another(declared, before, change, policy):
    made = declared.using(**change)
    assert policy_of_call(made) == before._replace(**policy)
    assert policy_of_call(declared) == before


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("max_attempts", 1),
        ("backoff", exponential()),
        ("timeout", 3600 * SECOND),
        ("max_crashes", 3),
    ],
)
def test_none_is_the_backends_default_again(name, default):
    made = tasks.careful.using(**{name: None})
    assert policy_of_call(made) == CAREFUL._replace(**{name: default})


def test_changes_come_one_after_the_other():
    made = tasks.careful.using(max_attempts=9).using(timeout=1).using(max_attempts=None)
    assert policy_of_call(made) == CAREFUL._replace(max_attempts=1, timeout=SECOND)


def test_what_is_changed_to_what_it_was_is_not_carried():
    for made in (
        tasks.careful.using(max_attempts=3, backoff=linear(2), timeout=60),
        tasks.careful.using(max_attempts=9).using(max_attempts=3),
        tasks.careful.using(priority=5),
        tasks.keep.using(max_attempts=None, timeout=None, backoff=None),
        tasks.negotiated.using(priority=3),
    ):
        assert carried(made) is None


def test_a_call_whose_task_is_gone_has_what_it_carries():
    stored = carried(tasks.keep.using(max_attempts=4, timeout=math.inf))
    found = policy_of(DEFAULTS, "tests.unit.tasks.gone", stored)
    assert found == DEFAULTS._replace(max_attempts=4, timeout=None)
    assert policy_of(DEFAULTS, "tests.unit.tasks.gone", None) == DEFAULTS


def test_the_task_of_a_result_has_what_its_call_carries():
    changes = {"max_attempts": 4, "backoff": fixed(2), "timeout": math.inf, "max_crashes": None}
    made = tasks.careful.using(**changes)
    assert made.enqueue().task == made
    assert tasks.careful.enqueue().task is tasks.careful


def test_a_task_that_is_changed_in_place_needs_nothing_to_be_carried():
    before = tasks.keep_other.max_attempts
    tasks.keep_other.max_attempts = 8
    try:
        assert carried(tasks.keep_other) is None
        assert policy_of_call(tasks.keep_other).max_attempts == 8
    finally:
        tasks.keep_other.max_attempts = before


def test_carried_fields_are_shared_and_cannot_be_changed():
    stored = carried(tasks.keep.using(max_attempts=4))
    with pytest.raises(TypeError):
        carried_fields(stored)["max_attempts"] = 5


# Functions as a backoff


def test_a_declaration_can_have_a_function_as_its_backoff():
    assert policy_of_call(tasks.negotiated).backoff is tasks.tariff
    assert policy_of_call(tasks.negotiated.using(backoff=5)).backoff == 5


@pytest.mark.parametrize("declared", [tasks.keep, tasks.careful, tasks.negotiated])
def test_one_call_cannot(declared):
    with pytest.raises(InvalidTask, match=rf"The backoff of {declared.module_path} is a function"):
        declared.using(backoff=lambda context: 1)


def test_a_declaration_that_is_changed_in_place_can():
    try:
        tasks.keep_other.backoff = tasks.tariff
        assert policy_of_call(tasks.keep_other).backoff is tasks.tariff
    finally:
        tasks.keep_other.backoff = None


def test_a_declaration_that_takes_the_place_of_another_can():
    """As where a module is imported anew."""

    def declared_anew(**fields):
        function = tasks.plain
        again = FunctionType(function.__code__, dict(function.__globals__), "declared_anew")
        again.__module__ = function.__module__
        again.__qualname__ = "declared_anew"
        return task(backend="kept", **fields)(again)

    first = declared_anew(backoff=tasks.tariff, max_attempts=2)
    second = declared_anew(backoff=lambda context: 3)
    assert registry.declared(first.module_path) is second
    assert isinstance(second, Task)
    assert carried(second) is None
    assert policy_of_call(second).max_attempts == 1
