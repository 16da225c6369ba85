from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTaskBackend
from django.test import override_settings

from mainspring import Limit, Rate, Task, conf, exponential, fixed
from mainspring.core.policy import Policy
from tests.unit import tasks

ALL = frozenset(conf._PARSERS)
IMMEDIATE = "mainspring.backends.immediate.ImmediateBackend"


def parse(options=None, supported=ALL, **params):
    given = {} if options is None else {"OPTIONS": options}
    return conf.parse("default", {"BACKEND": "x", **given, **params}, supported)


def test_the_defaults():
    config = parse()
    assert config.errors == ()
    assert config.queues == {"default"}
    assert config.options == conf.Options()
    assert config.options.max_payload == 10 * 1024 * 1024
    assert config.options.order == "lifo"
    assert config.options.result_ttl == 7 * 24 * 3600 * 10**6
    assert config.options.lease == 30 * 10**6
    assert config.options.embedded is False
    assert config.options.threads == 1
    assert config.options.grace == 5 * 10**6
    assert config.options.policy == Policy(1, exponential(), 3600 * 10**6, 3)
    config.require_valid()


@pytest.mark.parametrize(
    ("key", "value", "parsed"),
    [
        ("MAX_PAYLOAD", 1, 1),
        ("ORDER", "fifo", "fifo"),
        ("ORDER", "lifo", "lifo"),
        ("RESULT_TTL", None, None),
        ("RESULT_TTL", 0, 0),
        ("RESULT_TTL", 1.5, 1_500_000),
        ("RESULT_TTL", timedelta(days=1), 86_400 * 10**6),
        ("LEASE", 1, 10**6),
        ("LEASE", timedelta(seconds=90), 90 * 10**6),
        ("EMBEDDED", True, True),
        ("THREADS", 8, 8),
        ("MAX_ATTEMPTS", 5, 5),
        ("MAX_CRASHES", 1, 1),
        ("BACKOFF", 30, 30),
        ("BACKOFF", timedelta(minutes=1), timedelta(minutes=1)),
        ("BACKOFF", fixed(2), fixed(2)),
        ("BACKOFF", tasks.tariff, tasks.tariff),
        ("TIMEOUT", 0.5, 500_000),
        ("TIMEOUT", timedelta(hours=2), 7200 * 10**6),
        ("TIMEOUT", None, None),
        ("GRACE", 0, 0),
        ("GRACE", timedelta(seconds=2), 2 * 10**6),
        ("QUEUE_LIMITS", {}, {}),
        (
            "QUEUE_LIMITS",
            {"default": {"concurrency": 3, "rate": (100, 60)}},
            {"default": (Limit(3), Rate(100, 60))},
        ),
        (
            "QUEUE_LIMITS",
            {"default": {"rate": Rate(1, timedelta(hours=1), "{0}")}},
            {"default": (Rate(1, timedelta(hours=1), "{0}"),)},
        ),
    ],
)
def test_options(key, value, parsed):
    config = parse({key: value})
    assert config.errors == ()
    assert getattr(config.options, key.lower()) == parsed


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("MAX_PAYLOAD", 0, "a whole number of at least 1, not 0 (int)"),
        ("MAX_PAYLOAD", "10", "a whole number of at least 1, not '10' (str)"),
        ("MAX_PAYLOAD", 1.5, "a whole number of at least 1"),
        ("MAX_PAYLOAD", True, "a whole number of at least 1, not True (bool)"),
        ("MAX_PAYLOAD", None, "a whole number of at least 1, not None (NoneType)"),
        ("ORDER", "LIFO", "'lifo' or 'fifo', not 'LIFO' (str)"),
        ("ORDER", ["lifo"], "'lifo' or 'fifo'"),
        ("RESULT_TTL", -1, "of at least 0 seconds, or None, not -1 (int)"),
        ("RESULT_TTL", "7 days", "a timedelta or a number of seconds"),
        ("RESULT_TTL", float("nan"), "of at least 0 seconds, or None, not nan (float)"),
        ("RESULT_TTL", float("inf"), "of at least 0 seconds"),
        ("RESULT_TTL", 10**400, "of at least 0 seconds"),
        ("RESULT_TTL", timedelta.max, "of at least 0 seconds"),
        ("RESULT_TTL", False, "of at least 0 seconds"),
        ("RESULT_TTL", Decimal(5), "of at least 0 seconds"),
        ("LEASE", None, "of at least 1 seconds, not None (NoneType)"),
        ("LEASE", 0.5, "of at least 1 seconds, not 0.5 (float)"),
        ("EMBEDDED", 1, "True or False, not 1 (int)"),
        ("EMBEDDED", "yes", "True or False, not 'yes' (str)"),
        ("THREADS", 0, "a whole number of at least 1, not 0 (int)"),
        ("MAX_ATTEMPTS", 0, "a whole number of at least 1, not 0 (int)"),
        ("MAX_ATTEMPTS", None, "a whole number of at least 1, not None (NoneType)"),
        ("MAX_CRASHES", 0, "a whole number of at least 1, not 0 (int)"),
        ("BACKOFF", None, "exponential(), linear(), fixed(), or a function"),
        ("BACKOFF", -1, "a number of seconds, a timedelta, exponential()"),
        ("BACKOFF", "exponential", "a number of seconds, a timedelta, exponential()"),
        ("BACKOFF", lambda: 1, "or a function of (context) or of (exception, task_result)"),
        ("TIMEOUT", 0, "of at least 0.001 seconds, or None, not 0 (int)"),
        ("TIMEOUT", float("inf"), "or None, not inf (float)"),
        ("TIMEOUT", "1h", "a timedelta or a number of seconds"),
        ("GRACE", None, "of at least 0 seconds, not None (NoneType)"),
        ("GRACE", -1, "of at least 0 seconds, not -1 (int)"),
        (
            "QUEUE_LIMITS",
            3,
            "a dict such as {'mail': {'concurrency': 3, 'rate': (100, 60)}}, not 3",
        ),
        ("QUEUE_LIMITS", {5: {}}, "a dict of limits by queue, of which 5 is none"),
        ("QUEUE_LIMITS", {"a": 3}, "whose ['a'] is a dict with 'concurrency', 'rate' or both"),
        ("QUEUE_LIMITS", {"a": {}}, "whose ['a'] is a dict with 'concurrency', 'rate' or both"),
        ("QUEUE_LIMITS", {"a": {"rates": 1}}, "whose ['a'] is a dict with 'concurrency', 'rate'"),
        (
            "QUEUE_LIMITS",
            {"a": {"concurrency": 0}},
            "whose ['a']['concurrency'] is a Limit or a whole number from 1 to 1,000, not {'a':",
        ),
        ("QUEUE_LIMITS", {"a": {"rate": 5}}, "['a']['rate'] is a Rate or a pair such as (100, 60)"),
        ("QUEUE_LIMITS", {"a": {"rate": (0, 1)}}, "['a']['rate'] is a Rate or a pair such as"),
        ("QUEUE_LIMITS", {"a": {"rate": Limit(1)}}, "['a']['rate'] is a Rate or a pair such as"),
    ],
)
def test_wrong_options_name_the_setting(key, value, said):
    config = parse({key: value})
    (error,) = config.errors
    assert error.startswith(f"TASKS['default']['OPTIONS']['{key}'] must be ")
    assert said in error
    assert config.options == conf.Options()
    with pytest.raises(InvalidTaskBackend, match=key):
        config.require_valid()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"options": {"MAX_PAYLAOD": 1}},
            "unknown option 'MAX_PAYLAOD' (did you mean 'MAX_PAYLOAD",
        ),
        (
            {"options": {"max_payload": 1}},
            "unknown option 'max_payload' (did you mean 'MAX_PAYLOAD",
        ),
        (
            {"options": {"COLOUR": 1}},
            "unknown option 'COLOUR' (known: BACKOFF, EMBEDDED, EXPOSED_TASKS, GRACE, LEASE",
        ),
        ({"options": {5: 1}}, "unknown option 5 (known:"),
        ({"options": [1]}, "['OPTIONS'] must be a dict, not [1] (list)"),
        ({"OPTIONS": None}, "['OPTIONS'] must be a dict, not None (NoneType)"),
        ({"QUEUE": ["a"]}, "unknown key 'QUEUE' (did you mean 'QUEUES'?)"),
        ({"COLOUR": 1}, "unknown key 'COLOUR' (known: BACKEND, OPTIONS, QUEUES)"),
        ({"QUEUES": "default"}, "['QUEUES'] must be a list of queue names, not 'default' (str)"),
        ({"QUEUES": None}, "['QUEUES'] must be a list of queue names"),
        ({"QUEUES": {"a": 1}}, "['QUEUES'] must be a list of queue names"),
        ({"QUEUES": ["a", 5]}, "['QUEUES'] has 5: a queue name is a string"),
        ({"QUEUES": ["a", ["b"]]}, "['QUEUES'] has ['b']"),
        ({"QUEUES": [""]}, "['QUEUES'] has ''"),
        ({"QUEUES": ["*"]}, "['QUEUES'] has '*'"),
        ({"QUEUES": ["a,b"]}, "['QUEUES'] has 'a,b'"),
        ({"QUEUES": ["x" * 65]}, "1 to 64 characters"),
        (
            {"QUEUES": ["a", "b"], "options": {"QUEUE_LIMITS": {"c": {"concurrency": 1}}}},
            "['QUEUE_LIMITS'] names the queue 'c', which is not in TASKS['default']['QUEUES'] (a,",
        ),
    ],
    ids=str,
)
def test_wrong_settings_are_named(params, said):
    (error,) = parse(**params).errors
    assert error.startswith("TASKS['default']")
    assert said in error


def test_the_policy_is_made_of_the_options():
    config = parse({"MAX_ATTEMPTS": 5, "BACKOFF": fixed(2), "TIMEOUT": None, "MAX_CRASHES": 9})
    assert config.options.policy == Policy(5, fixed(2), None, 9)


def test_an_option_of_another_backend_is_unknown():
    (error,) = parse({"LEASE": 5}, supported=frozenset({"MAX_PAYLOAD"})).errors
    assert "unknown option 'LEASE' (known: MAX_PAYLOAD)" in error


def test_all_that_is_wrong_is_told_at_once():
    config = parse({"ORDER": 1, "LEASE": 0, "NO": 1}, QUEUES=[5], MORE=1)
    assert len(config.errors) == 5


def test_a_long_value_is_shortened():
    (error,) = parse({"ORDER": "x" * 10_000}).errors
    assert len(error) < 200


@pytest.mark.parametrize("queues", [[], (), ["a", "b"], {"a"}, frozenset({"a"})])
def test_queues(queues):
    config = parse(QUEUES=queues)
    assert config.errors == ()
    assert config.queues == frozenset(queues)


def wrong(**params):
    return override_settings(TASKS={"default": {"BACKEND": IMMEDIATE, **params}})


def test_wrong_settings_let_tasks_be_declared_and_not_enqueued():
    with wrong(OPTIONS={"MAX_PAYLAOD": 1}):
        made = Task(func=tasks.plain)
        with pytest.raises(InvalidTaskBackend, match="unknown option 'MAX_PAYLAOD'"):
            made.enqueue()
        with pytest.raises(InvalidTaskBackend, match="unknown option 'MAX_PAYLAOD'"):
            tasks.add.enqueue(1)
    assert tasks.add.enqueue(1).return_value == 1


def test_check_tells_wrong_settings():
    with wrong(OPTIONS={"LEASE": 5}, QUEUES="default"):
        errors = task_backends["default"].check()
        assert [error.id for error in errors] == ["mainspring.E001"] * 2
        assert all(isinstance(error, checks.Error) for error in errors)
        with pytest.raises(
            SystemCheckError, match=r"TASKS\['default'\]\['QUEUES'\] must be a list"
        ):
            call_command("check")
    call_command("check")


def test_max_payload_holds():
    with wrong(OPTIONS={"MAX_PAYLOAD": 20}):
        assert tasks.echo.enqueue("x").return_value == [["x"], {}]
        with pytest.raises(ValueError, match="MAX_PAYLOAD allows 20"):
            tasks.echo.enqueue("x" * 20)


def test_a_return_value_beyond_max_payload_fails_the_task():
    with wrong(OPTIONS={"MAX_PAYLOAD": 10}):
        result = tasks.echo.enqueue()
        assert result.return_value == [[], {}]
    with wrong(OPTIONS={"MAX_PAYLOAD": 7}):
        result = tasks.echo.enqueue()
        assert result.return_value == [[], {}]
    with wrong(OPTIONS={"MAX_PAYLOAD": 8}):
        (error,) = tasks.describe.enqueue(1).errors
        assert "MAX_PAYLOAD allows 8" in error.traceback
