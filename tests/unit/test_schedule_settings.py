from datetime import timedelta

import pytest
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTaskBackend
from django.test import override_settings

from mainspring import conf
from mainspring.backends.database import DatabaseBackend
from mainspring.backends.memory import MemoryBackend
from mainspring.core import codec
from mainspring.core.clock import SECOND
from mainspring.core.crons import Cron, Every
from mainspring.core.declarations import Declaration
from mainspring.core.schedules import declared_schedules

TASK = "tests.unit.tasks.send"
SUPPORTED = MemoryBackend.options_supported


def parse(schedules, **params):
    given = {"BACKEND": "x", "OPTIONS": {"SCHEDULES": schedules}, **params}
    return conf.parse("default", given, SUPPORTED)


@pytest.mark.parametrize("backend", [MemoryBackend, DatabaseBackend])
def test_backends_with_workers_have_the_setting(backend):
    assert "SCHEDULES" in backend.options_supported


def test_none_by_default():
    assert conf.Options().schedules == ()
    assert parse({}).options == conf.Options()


@pytest.mark.parametrize(
    ("given", "declared"),
    [
        ({"cron": "0 3 * * *"}, Declaration(Cron("0 3 * * *"))),
        (
            {"cron": "@daily", "timezone": "Asia/Tokyo"},
            Declaration(Cron("@daily", "Asia/Tokyo")),
        ),
        ({"every": 30}, Declaration(Every(30 * SECOND))),
        ({"every": timedelta(hours=1)}, Declaration(Every(3600 * SECOND))),
        (
            {
                "every": 1.5,
                "args": [1, "a"],
                "kwargs": {"full": True},
                "queue_name": "mail",
                "priority": -5,
                "jitter": timedelta(minutes=1),
                "catch_up": "none",
                "overlap": "skip",
            },
            Declaration(
                Every(1_500_000),
                codec.encode([[1, "a"], {"full": True}]),
                queue_name="mail",
                priority=-5,
                jitter=60 * SECOND,
                catch_up="none",
                overlap="skip",
            ),
        ),
    ],
)
def test_schedules(given, declared):
    config = parse({"a name": {"task": TASK, **given}}, QUEUES=["default", "mail"])
    assert config.errors == ()
    assert config.options.schedules == (declared._replace(name="a name", task_path=TASK),)


@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        (
            [],
            "must be a dict such as {'nightly': {'task': 'shop.tasks.clean', 'cron': '0 3 * * *'}}",
        ),
        (None, "must be a dict such as"),
        ({"a": 5}, "a dict of schedules, of which ['a'] is none (it must be a dict, such as"),
        ({5: {"task": TASK, "every": 5}}, "[5] is none (name must be a text of 1 to 255"),
        ({None: {"task": TASK, "every": 5}}, "[None] is none (its name must be a text)"),
        ({"": {"task": TASK, "every": 5}}, "[''] is none (name must be a text of 1 to 255"),
        ({"a": {"task": TASK}}, "['a'] is none (it must have either 'cron' or 'every')"),
        (
            {"a": {"task": TASK, "every": 5, "cron": "@daily"}},
            "(it must have either 'cron' or 'every')",
        ),
        ({"a": {"every": 5}}, "('task' must be a path such as 'shop.tasks.clean', not None)"),
        ({"a": {"task": "send", "every": 5}}, "('task' must be a path such as"),
        ({"a": {"task": TASK, "every": 0}}, "('every': An interval must be from a second to ten"),
        ({"a": {"task": TASK, "every": "5m"}}, "('every': An interval must be a timedelta or a"),
        ({"a": {"task": TASK, "cron": "0 0 31 2 *"}}, "(cron='0 0 31 2 *' is not a cron express"),
        ({"a": {"task": TASK, "cron": 5}}, "(cron must be a text such as '*/5 * * * *', not 5"),
        ({"a": {"task": TASK, "cron": "@daily", "timezone": "X"}}, "(timezone='X' is no time zone"),
        ({"a": {"task": TASK, "every": 5, "timezone": "UTC"}}, "(an interval has no 'timezone')"),
        ({"a": {"task": TASK, "every": 5, "arg": []}}, "unknown key 'arg'; did you mean 'args'?"),
        ({"a": {"task": TASK, "every": 5, "name": "b"}}, "unknown key 'name'; known: task, cron,"),
        ({"a": {"task": TASK, "every": 5, 7: 1}}, "unknown key 7; known: task, cron, every"),
        ({"a": {"task": TASK, "every": 5, "args": 1}}, "(args must be a list or tuple"),
        ({"a": {"task": TASK, "every": 5, "kwargs": {"k": {1}}}}, "(Unsupported type: Argument"),
        ({"a": {"task": TASK, "every": 5, "jitter": -1}}, "(jitter must be from 0 seconds to 366"),
        ({"a": {"task": TASK, "every": 5, "catch_up": "x"}}, "(catch_up must be one of 'latest',"),
        ({"a": {"task": TASK, "every": 5, "overlap": None}}, "(overlap must be one of 'queue',"),
        ({"a": {"task": TASK, "every": 5, "priority": "1"}}, "(priority must be a whole number"),
    ],
)
def test_wrong_schedules_name_the_setting_and_the_key(schedules, said):
    config = parse(schedules)
    (error,) = config.errors
    assert error.startswith("TASKS['default']['OPTIONS']['SCHEDULES'] must be ")
    assert said in error
    assert config.options == conf.Options()
    with pytest.raises(InvalidTaskBackend, match="SCHEDULES"):
        config.require_valid()


def test_a_queue_must_be_one_of_the_backends():
    given = {"a": {"task": TASK, "every": 5, "queue_name": "mial"}}
    (error,) = parse(given, QUEUES=["default", "mail"]).errors
    assert error == (
        "TASKS['default']['OPTIONS']['SCHEDULES'] names the queue 'mial', which is not in "
        "TASKS['default']['QUEUES'] (default, mail)."
    )
    assert parse(given, QUEUES=[]).errors == ()


def test_they_are_the_schedules_of_the_backend():
    given = {
        "mails": {"task": TASK, "every": 5},
        "low": {"task": TASK, "cron": "@daily", "priority": 0, "queue_name": "default"},
    }
    backend = {
        "BACKEND": "mainspring.backends.memory.MemoryBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"SCHEDULES": given},
    }
    with override_settings(TASKS={"default": backend}):
        config = task_backends["default"].config
        found = {one.name: one for one in declared_schedules("default", config.options)}
    assert (found["mails"].queue_name, found["mails"].priority) == ("mail", 7)  # the task's
    assert (found["low"].queue_name, found["low"].priority) == ("default", 0)
    assert {found["mails"].source, found["low"].source} == {"settings"}


def test_the_check_tells_which_schedules_are_left_out():
    schedules = {"lost": {"task": "tests.unit.tasks.nothing", "cron": "@daily"}}
    backend = "mainspring.backends.memory.MemoryBackend"
    entry = {"BACKEND": backend, "QUEUES": [], "OPTIONS": {"SCHEDULES": schedules}}
    with override_settings(TASKS={"default": entry}):
        (problem,) = [
            one for one in task_backends["default"].check() if "SCHEDULES" in str(one.msg)
        ]
    assert problem.id == "mainspring.W002"
    assert "['SCHEDULES']['lost']: There is no task 'tests.unit.tasks.nothing'" in problem.msg
