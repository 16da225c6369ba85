import functools
import math
from datetime import timedelta

import pytest
from django.tasks.exceptions import InvalidTask

from mainspring import task
from mainspring.backends.unique_jobs import UniqueJobs
from mainspring.core import codec
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.core.unique import UNTIL, Unique, unique_of
from tests.unit import tasks

NOW = 1_700_000_000 * SECOND


def job_of(declared, *args, **kwargs):
    arguments = codec.encode_call(args, kwargs, 10**6)
    return Job(
        "one",
        "kept",
        declared.module_path,
        "default",
        0,
        NOW,
        State.READY,
        None,
        arguments,
        None,
        NOW,
    )


def unique(*args, rule=True, declared=tasks.echo, **kwargs):
    return unique_of(declared.using(unique=rule), job_of(declared, *args, **kwargs))


def key(*args, rule=True, declared=tasks.echo, **kwargs):
    found = unique(*args, rule=rule, declared=declared, **kwargs)
    return None if found is None else found.key


# What is refused


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (None, "must be True, False, a text"),
        (1, "must be True, False, a text"),
        ("", "must not be empty"),
        ("{0", "no text that str.format"),
        ("}", "no text that str.format"),
        ("{}", "may name arguments alone"),
        ("{0.x}", r"has \{0\.x\}"),
        ("{user.pk}", r"has \{user\.pk\}"),
        ("{0[key]}", r"has \{0\[key\]\}"),
        ("{-1}", "may name arguments alone"),
        ("{0:{1}}", "in the format"),
        ("{0:{1.x}}", "in the format"),
        ("{2}", r"has \{2\}, which is no argument of add\(\)"),
        ("{user}", r"has \{user\}, which is no argument of add\(\)"),
    ],
)
def test_a_rule_that_makes_no_key_is_refused_when_the_task_is_declared(rule, reason):
    with pytest.raises(InvalidTask, match=reason):
        task(unique=rule)(tasks.add.func)
    with pytest.raises(InvalidTask, match="unique"):
        tasks.add.using(unique=rule)


@pytest.mark.parametrize("lasts", [0, -1, math.inf, math.nan, True, "60", timedelta(), 10**18])
def test_unique_for_is_a_duration(lasts):
    with pytest.raises(InvalidTask, match="unique_for must be a number of seconds above 0"):
        tasks.add.using(unique_for=lasts)


@pytest.mark.parametrize("until", ["begin", None, True, ["start"]])
def test_unique_until_is_one_of_two(until):
    with pytest.raises(InvalidTask, match="unique_until must be 'start' or 'end'"):
        tasks.add.using(unique_until=until)


def test_what_makes_sense_is_taken():
    for rule in (True, False, "nightly", "{0} {name!r} {1:>5} {{literal}}", str):
        tasks.echo.using(unique=rule, unique_for=timedelta(days=1), unique_until="end")


# The key


def test_a_key_is_64_hexadecimal_digits():
    assert len(key(1)) == 64
    assert set(key(1)) <= set("0123456789abcdef")


def test_a_task_that_is_not_unique_has_no_key():
    assert key(1, rule=False) is None
    assert unique_of(tasks.by_django, job_of(tasks.by_django)) is None


def test_true_compares_the_arguments_as_json():
    assert key(1, [2, {"a": 1, "b": 2}], x=1, y=2) == key(1, (2, {"b": 2, "a": 1}), y=2, x=1)
    different = [key(), key(1), key("1"), key(1.0), key(a=1), key(1, 2), key([1, 2]), key(None)]
    assert len(set(different)) == len(different)


def test_big_numbers_and_texts_are_told_apart():
    assert key(2**64) != key(2**64 + 1)
    assert key("ž") != key("z")


def test_task_and_alias_are_part_of_the_key():
    text = "the same"
    known = unique(rule=text)
    assert unique(rule=text, declared=tasks.send).key != known.key
    elsewhere = job_of(tasks.echo)._replace(backend="audited")
    assert unique_of(tasks.echo.using(unique=text), elsewhere).key != known.key


def test_a_text_is_filled_in_with_the_arguments():
    rule = "{0} of {user!r:>4}"
    assert key("a", "b", rule=rule, user="u") == key("a", rule=rule, user="u", more=1)
    assert key("a", rule=rule, user="u") == key(rule="a of  'u'")
    assert key("a", rule="nightly") == key("b", rule="nightly")


def test_a_tuple_is_a_list_as_the_task_gets_it():
    assert key((1, 2), rule="{0}") == key([1, 2], rule="{0}")


def test_an_argument_is_found_by_name_and_by_place():
    add = functools.partial(key, declared=tasks.add)
    rule = "{a} and {1}"
    assert add(1, 2, rule=rule) == add(1, b=2, rule=rule) == add(1, rule="1 and 2")
    assert add(1, rule=rule) == add(a=1, b=0, rule=rule)


@pytest.mark.parametrize(
    ("args", "kind", "reason"),
    [
        ((), TypeError, "missing a required argument: 'a'"),
        (("a",), ValueError, "Unknown format code"),
    ],
)
def test_a_text_that_cannot_be_made_names_the_task_and_the_argument(args, kind, reason):
    with pytest.raises(kind, match=reason) as raised:
        key(*args, rule="{a:d}", declared=tasks.add)
    assert "unique='{a:d}' of tests.unit.tasks.add cannot be made" in str(raised.value)


def test_a_function_gets_the_arguments_and_returns_the_text():
    assert key(1, rule=lambda a, b=0: f"{a}+{b}", b=2) == key(rule="1+2")
    assert key(1, rule=lambda *args, **kwargs: None) is None
    assert key(1, rule=lambda *args, **kwargs: "") is not None
    with pytest.raises(TypeError, match=r"must return a text, or None .* not 1"):
        key(1, rule=lambda a: a)


def test_a_function_cannot_change_the_arguments():
    job = job_of(tasks.add, [1])
    unique_of(tasks.add.using(unique=lambda items: str(items.append(2))), job)
    assert codec.decode_call(job.arguments) == ([[1]], {})


# How long


def test_it_lasts_for_unique_for_and_until_unique_until():
    assert unique(1) == (key(1), State.RUNNING, None)
    brief = tasks.echo.using(unique=True, unique_for=1.5, unique_until="end")
    assert unique_of(brief, job_of(brief, 1)) == (key(1), State.SUCCESSFUL, NOW + 1_500_000)
    day = tasks.add.using(unique=True, unique_for=timedelta(days=1))
    assert unique_of(day, job_of(day)).expires_at == NOW + 86_400 * SECOND


@pytest.mark.parametrize("until", ["start", "end"])
def test_which_states_count(until):
    one = Unique("k", UNTIL[until], None)
    counting = {state for state in State if one.counts(state, None, NOW)}
    waiting = {State.HELD, State.SCHEDULED, State.READY}
    assert counting == (waiting if until == "start" else waiting | {State.RUNNING})


def test_what_has_expired_does_not_count():
    one = Unique("k", State.RUNNING, None)
    assert one.counts(State.READY, NOW + 1, NOW)
    assert not one.counts(State.READY, NOW, NOW)


# In memory


def test_a_store_in_memory_keeps_no_key_of_a_job_that_is_gone():
    jobs = {}
    known = UniqueJobs(jobs)
    one, second = job_of(tasks.add), job_of(tasks.add)._replace(id="two")
    for job in (one, second):
        jobs[job.id] = job
        known.take(Unique("k", State.RUNNING, None), job)
    known.forget("one")
    assert known.pending(Unique("k", State.RUNNING, None), NOW) == second
    known.forget("two")
    known.forget("of no key")
    assert known.pending(Unique("k", State.RUNNING, None), NOW) is None
    assert (known._held, known._keys) == ({}, {})
