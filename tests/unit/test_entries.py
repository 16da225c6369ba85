"""Entries of schedules, and the setting that exposes tasks for them."""

from types import SimpleNamespace
from typing import Any

import pytest

from mainspring import conf
from mainspring.core.clock import SECOND
from mainspring.core.crons import Cron, every_of
from mainspring.core.entries import Entry, NotAnEntry, schedule_of, timing_of
from tests.unit import tasks

OPTIONS: Any = SimpleNamespace(
    exposed_tasks={"Sum": "tests.unit.tasks.add", "Gone": "tests.unit.tasks.gone"},
    max_payload=1000,
)


def exposed(value: Any) -> conf.Config:
    """Parse the setting."""
    return conf.parse(
        "default", {"OPTIONS": {"EXPOSED_TASKS": value}}, frozenset({"EXPOSED_TASKS"})
    )


def test_tasks_are_exposed_by_name() -> None:
    given = {"Clean up": "shop.tasks.clean"}
    assert exposed(given).options.exposed_tasks == given
    assert conf.parse("default", {}, frozenset()).options.exposed_tasks == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["shop.tasks.clean"], "must be a dict such as {'Clean up': 'shop.tasks.clean'}"),
        ({5: "shop.tasks.clean"}, "of which 5 is none"),
        ({"": "shop.tasks.clean"}, "of which '' is none"),
        ({"Clean up": "clean"}, "whose ['Clean up'] is a path"),
        ({"Clean up": 5}, "whose ['Clean up'] is a path"),
    ],
)
def test_what_exposes_nothing_is_refused(value: Any, said: str) -> None:
    (error,) = exposed(value).errors
    assert said in error


def test_an_entry_is_a_schedule() -> None:
    entry = Entry(
        "sums",
        "Sum",
        cron="0 8 * * MON",
        timezone="Europe/Berlin",
        args="[1.0]",
        kwargs='{"b": 12345678901234567890123}',
        priority=5,
        jitter=7,
        catch_up="all",
        overlap="skip",
    )
    made = schedule_of(entry, "default", OPTIONS)
    assert made.name == "sums"
    assert made.task_path == "tests.unit.tasks.add"
    assert made.timing == Cron("0 8 * * MON", "Europe/Berlin")
    assert made.arguments == b'[[1.0],{"b":12345678901234567890123}]'
    assert (made.queue_name, made.priority) == (tasks.add.queue_name, 5)
    assert (made.jitter, made.catch_up, made.overlap) == (7 * SECOND, "all", "skip")
    assert made.source == "database"


def test_an_entry_has_either_times_or_an_interval() -> None:
    assert timing_of(Entry("e", "Sum", every=90)) == every_of(90)
    for wrong in (Entry("e", "Sum"), Entry("e", "Sum", cron="@daily", every=5)):
        with pytest.raises(NotAnEntry, match="either"):
            timing_of(wrong)


@pytest.mark.parametrize(
    ("alias", "changes", "field"),
    [
        ("default", {"task": "tests.unit.tasks.add"}, "task"),
        ("default", {"task": "Gone"}, "task"),
        ("anyqueue", {}, "task"),
        ("default", {"every": 0}, "every"),
        ("default", {"every": None, "cron": "x"}, "cron"),
        ("default", {"every": None, "cron": "@daily", "timezone": "x"}, "timezone"),
        ("default", {"args": "[1, 2, 3]"}, "args"),
        ("default", {"args": "[NaN]"}, "args"),
        ("default", {"kwargs": '{"x": 1}'}, "args"),
        ("default", {"args": '["' + "x" * 1000 + '"]'}, "args"),
        ("default", {"queue_name": "unknown"}, "queue_name"),
        ("default", {"priority": 1000}, "priority"),
        ("default", {"name": ""}, "name"),
        ("default", {"jitter": -1}, "jitter"),
        ("default", {"catch_up": "never"}, "catch_up"),
    ],
)
def test_what_makes_no_sense_is_told_by_field(
    alias: str, changes: dict[str, Any], field: str
) -> None:
    entry = Entry("e", "Sum", every=90, args="[1]")._replace(**changes)
    with pytest.raises(NotAnEntry) as raised:
        schedule_of(entry, alias, OPTIONS)
    assert raised.value.field == field
