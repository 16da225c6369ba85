import copy
import pickle
import random
import subprocess
import sys
from datetime import timedelta
from zoneinfo import ZoneInfo

import django.tasks
import pytest
from django.tasks.exceptions import InvalidTask
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring import Task, cron, every, task
from mainspring.conf import Options
from mainspring.core import codec, registry
from mainspring.core.clock import SECOND
from mainspring.core.crons import Cron, Every, every_of
from mainspring.core.declarations import Declaration
from mainspring.core.policy import fields_to_carry
from mainspring.core.schedules import (
    GRACE,
    MOST_CAUGHT_UP,
    Schedule,
    declared_schedules,
    newest_tick,
    run_at,
    schedules_of,
    ticks_due,
)
from tests.unit import tasks

HOUR = 3600 * SECOND
PATH = "tests.unit.test_schedules"


@cron("0 3 * * *")
@task(backend="kept")
def nightly() -> None:
    """A task with one schedule."""


@every(timedelta(hours=1), name="hourly numbers", jitter=timedelta(minutes=5), overlap="skip")
@cron("@monthly", timezone=ZoneInfo("Asia/Tokyo"), args=["month"], kwargs={"full": True})
@cron("*/5 8-17 * * MON-FRI", priority=9, catch_up="all", jitter=1.5)
@task(backend="kept", priority=3)
def report(period: str = "day", full: bool = False) -> None:
    """A task with several."""


@tasks.urgent
@cron("@daily")
@task
def raised() -> None:
    """A task that is changed above its schedule."""


@every(minutes=10)
@task(takes_context=True)
def told(context, *, number=1) -> None:
    """A task with a context."""


def unscheduled() -> None:
    """Of no task, as yet."""


@pytest.fixture
def plain():
    """A task that a test may put schedules on."""
    registry._tasks.pop(f"{PATH}.unscheduled", None)
    yield task(unscheduled)
    registry._tasks.pop(f"{PATH}.unscheduled", None)


def schedule(timing, **changes):
    made = Schedule("name", "path", timing, b"", "default", 0, 0, "latest", "queue", "code")
    return made._replace(**changes)


# Decorators


def test_a_schedule_says_what_its_task_does_not():
    (only,) = schedules_of(nightly)
    assert only == Schedule(
        name=f"{PATH}.nightly",
        task_path=f"{PATH}.nightly",
        timing=Cron("0 3 * * *"),
        arguments=codec.NO_ARGUMENTS,
        queue_name="default",
        priority=0,
        jitter=0,
        catch_up="latest",
        overlap="queue",
        source="code",
    )


def test_schedules_are_stacked_from_the_task_upwards():
    first, second, third = schedules_of(report)
    assert [first.name, second.name] == [f"{PATH}.report", f"{PATH}.report#2"]
    assert (first.priority, second.priority, third.priority) == (9, 3, 3)
    assert (first.catch_up, first.jitter) == ("all", 1_500_000)
    assert second.timing == Cron("@monthly", "Asia/Tokyo")
    assert codec.decode_call(second.arguments) == (["month"], {"full": True})
    assert third.name == "hourly numbers"
    assert third.timing == Every(HOUR)
    assert (third.jitter, third.overlap) == (300 * SECOND, "skip")


def test_the_task_is_changed_in_place_and_returned(plain):
    assert cron("* * * * *")(plain) is plain
    assert registry.declared(plain.module_path) is plain
    assert [one.timing for one in schedules_of(plain)] == [Cron("* * * * *")]
    assert schedules_of(raised)[0].priority == 50  # which was set later


def test_the_call_form_of_django_crontask(plain):
    cron("0 9 * * Mon-Fri")(plain)
    assert schedules_of(plain)[0].timing.expression == "0 9 * * Mon-Fri"


@pytest.mark.parametrize(
    ("interval", "units", "timing"),
    [
        (timedelta(minutes=10), {}, Every(600 * SECOND)),
        (None, {"minutes": 10}, Every(600 * SECOND)),
        (None, {"days": 1, "hours": 1, "minutes": 1, "seconds": 1.5}, every_of(90_061.5)),
    ],
)
def test_every(plain, interval, units, timing):
    every(interval, **units)(plain)
    assert schedules_of(plain)[0].timing == timing


@pytest.mark.parametrize(
    ("interval", "units", "kind"),
    [
        (None, {}, ValueError),
        (None, {"seconds": 0.5}, ValueError),
        (None, {"seconds": -5}, ValueError),
        (None, {"days": 10**10}, ValueError),
        (None, {"days": float("inf")}, ValueError),
        (5, {}, TypeError),
        ("5m", {}, TypeError),
        (timedelta(minutes=5), {"seconds": 5}, TypeError),
        (None, {"minutes": "5"}, TypeError),
    ],
)
def test_wrong_intervals_are_refused(interval, units, kind):
    with pytest.raises(kind):
        every(interval, **units)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"timezone": "Europe/Berln"}, ValueError, "timezone='Europe/Berln' is no time zone"),
        ({"timezone": 1}, TypeError, "timezone must be a name such as 'Europe/Berlin'"),
        ({"catch_up": "newest"}, ValueError, "catch_up must be one of 'latest', 'none', 'all'"),
        ({"catch_up": None}, ValueError, "catch_up must be one of"),
        ({"overlap": "run"}, ValueError, "overlap must be one of 'queue', 'skip', not 'run'"),
        ({"jitter": -1}, ValueError, "jitter must be from 0 seconds to 366 days, not -1"),
        ({"jitter": float("nan")}, ValueError, "jitter must be from 0 seconds"),
        ({"jitter": "5"}, TypeError, "jitter must be a number of seconds or a timedelta"),
        ({"jitter": True}, TypeError, "jitter must be a number of seconds"),
        ({"name": ""}, ValueError, "name must be a text of 1 to 255 printable characters, not ''"),
        ({"name": 5}, ValueError, "name must be a text"),
        ({"name": "a" * 256}, ValueError, "name must be a text"),
        ({"name": "a\nb"}, ValueError, "name must be a text"),
        ({"args": "text"}, TypeError, "args must be a list or tuple of arguments, not 'text'"),
        ({"args": [object()]}, TypeError, "Argument 1 is a object"),
        ({"args": [1]}, TypeError, f"args and kwargs are not the arguments of {PATH}.unscheduled"),
        ({"kwargs": [1]}, TypeError, "kwargs must be a dict of keyword arguments, not"),
        ({"kwargs": {"a": 1}}, TypeError, "got an unexpected keyword argument 'a'"),
        ({"kwargs": {"a": {1}}}, TypeError, "Argument 'a' is a set"),
        ({"queue_name": 5}, TypeError, "queue_name must be a text, or None for the task's"),
        ({"queue_name": "none"}, InvalidTask, "Queue 'none' is not valid for backend"),
        ({"priority": "high"}, TypeError, "priority must be a whole number, or None"),
        ({"priority": 101}, InvalidTask, "priority must be a whole number between"),
    ],
)
def test_what_makes_no_sense_is_refused_and_named(plain, given, kind, said):
    with pytest.raises(kind) as caught:
        cron("* * * * *", **given)(plain)
    assert said in str(caught.value)
    assert plain.schedules == ()


def test_arguments_may_have_what_the_task_lets_in(plain):
    every(minutes=1, kwargs={"number": 2})(told)
    assert codec.decode_call(schedules_of(told)[-1].arguments) == ([], {"number": 2})
    told.schedules = told.schedules[:1]
    with pytest.raises(TypeError, match="not the arguments of"):
        every(minutes=1, args=[2])(told)
    cron("* * * * *", args=[1, 2, 3])(tasks.double_add)  # a decorator may take one of them
    tasks.double_add.schedules = ()


def test_it_must_be_above_a_declared_task_of_ours(plain):
    with pytest.raises(TypeError, match=r"@cron must be above a task, not .* put @task below it"):
        cron("* * * * *")(unscheduled)
    djangos = django.tasks.task(backend="django")(unscheduled)
    with pytest.raises(TypeError, match=r"@every cannot be above .* a task of Django's own: its"):
        every(minutes=1)(djangos)
    with pytest.raises(TypeError, match=r"what using\(\) returns is a copy, and schedules nothing"):
        cron("* * * * *")(plain.using(priority=5))
    with pytest.raises(TypeError):
        cron(plain)


def test_names_on_a_task_differ(plain):
    cron("@daily", name="one")(plain)
    with pytest.raises(InvalidTask, match=r"Two schedules of .*unscheduled are named 'one'"):
        cron("@hourly", name="one")(plain)
    assert len(plain.schedules) == 1
    cron("@hourly")(plain)
    assert [one.name for one in schedules_of(plain)] == ["one", f"{PATH}.unscheduled#2"]


@pytest.mark.parametrize("value", [None, [], "text", (1,), [Declaration(Every(SECOND))]])
def test_only_declarations_are_schedules(plain, value):
    with pytest.raises(InvalidTask, match="schedules is what @cron and @every put above @task"):
        plain.schedules = value
    assert plain.schedules == ()


# Tasks


def test_scheduled_tasks_compare_copy_and_pickle(plain):
    assert report.using() == report
    assert report.using(priority=5).schedules == report.schedules
    assert nightly != nightly.using(schedules=())
    assert pickle.loads(pickle.dumps(report)) == report
    assert copy.deepcopy(report) == report
    changed = report.using(priority=5, schedules=report.schedules[:1])
    assert pickle.loads(pickle.dumps(changed)) == changed
    assert hash(changed) == hash(report)
    assert len(pickle.dumps(report)) < 150  # by its path


def test_a_copy_schedules_nothing(plain):
    before = plain.using(priority=5)
    cron("* * * * *")(plain)
    plain.using(priority=7)
    found = declared_schedules("default", Options())
    assert [one.priority for one in found if one.task_path == plain.module_path] == [0]
    assert before.schedules == ()
    assert fields_to_carry(before) is None  # no call carries schedules
    assert nightly.enqueue().task == nightly


def test_a_decorated_task_is_an_ordinary_one():
    assert isinstance(nightly, Task)
    assert nightly.call() is None
    assert nightly.enqueue().status == "READY"


def test_decorating_reads_no_time_zone():
    code = (
        "from django.conf import settings\n"
        "memory = 'mainspring.backends.memory.MemoryBackend'\n"
        "settings.configure(TASKS={'default': {'BACKEND': memory}})\n"
        "from mainspring import cron, task\n"
        "@cron('0 3 * * *')\n@task\ndef f(): pass\n"
        "settings.TIME_ZONE = 'Asia/Tokyo'\n"
        "from mainspring.core.schedules import schedules_of\n"
        "print(schedules_of(f)[0].timing.zone)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("Asia/Tokyo\n", "")


# All of a backend


def options(**changes):
    return Options(schedules=tuple(changes.get("schedules", ())))


def test_declared_schedules_are_those_of_code_and_settings():
    setting = Declaration(Every(HOUR), name="from settings", task_path="tests.unit.tasks.keep")
    problems = []
    found = declared_schedules("kept", options(schedules=[setting]), problems)
    assert problems == []
    names = {one.name: one.source for one in found}
    assert names[f"{PATH}.nightly"] == names["hourly numbers"] == "code"
    assert names["from settings"] == "settings"
    assert f"{PATH}.raised" not in names  # of another backend
    mine = next(one for one in found if one.name == "from settings")
    assert (mine.task_path, mine.queue_name, mine.priority) == (
        "tests.unit.tasks.keep",
        "default",
        0,
    )


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("a", "tests.unit.tasks.gone", "['a']: There is no task 'tests.unit.tasks.gone'"),
        ("a", "nowhere.task", "There is no task 'nowhere.task'"),
        ("a", "tests.unit.tasks.add", "tests.unit.tasks.add is a task of the backend 'default'"),
        (
            "hourly numbers",
            "tests.unit.tasks.keep",
            f"Two schedules are named 'hourly numbers': one of {PATH}.report and one of tests.",
        ),
    ],
)
def test_what_cannot_be_scheduled_is_left_out_with_a_reason(name, path, said):
    setting = Declaration(Every(HOUR), name=name, task_path=path)
    problems = []
    found = declared_schedules("kept", options(schedules=[setting]), problems)
    assert found == declared_schedules("kept", options(schedules=[setting]))
    assert found == declared_schedules("kept", Options())
    (problem,) = problems
    assert said in problem


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"priority": 500}, "['a']: priority must be a whole number between -100 and 100"),
        ({"queue_name": "gone"}, "['a']: Queue 'gone' is not valid for backend"),
        ({"arguments": codec.encode([[1], {}])}, "['a']: args and kwargs are not the arguments of"),
    ],
)
def test_what_does_not_fit_its_task_is_left_out_with_a_reason(declared, said):
    setting = Declaration(Every(HOUR), name="a", task_path=nightly.module_path, **declared)
    problems = []
    assert declared_schedules("kept", options(schedules=[setting]), problems) == (
        declared_schedules("kept", Options())
    )
    (problem,) = problems
    assert said in problem


def test_the_fingerprint_is_of_what_decides_when_it_fires():
    (one,) = schedules_of(nightly)
    before = one.fingerprint
    assert before == schedules_of(nightly)[0].fingerprint
    assert len(one.fingerprint) <= 40
    others = [
        one._replace(timing=Cron("0 4 * * *")),
        one._replace(timing=Cron("0 3 * * *", "UTC")),
        one._replace(timing=Every(HOUR)),
        one._replace(jitter=SECOND),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert one._replace(priority=1, name="x", overlap="skip").fingerprint == one.fingerprint
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        assert schedules_of(nightly)[0].fingerprint != before


# Ticks


def test_a_tick_is_due_at_its_moment():
    one = schedule(Every(HOUR))
    assert ticks_due(one, HOUR, 2 * HOUR - 1) == []
    assert ticks_due(one, HOUR, 2 * HOUR) == [2 * HOUR]
    assert ticks_due(one, 2 * HOUR, 2 * HOUR) == []


@pytest.mark.parametrize("catch_up", ["latest", "none", "all"])
def test_nothing_is_due_before_the_last_tick(catch_up):
    one = schedule(Every(HOUR), catch_up=catch_up)
    assert ticks_due(one, 9 * HOUR, 5 * HOUR) == []
    assert newest_tick(one, 9 * HOUR, 5 * HOUR) is None


def test_ticks_that_passed_by_catch_up():
    hourly = schedule(Every(HOUR))
    late = 10 * HOUR + GRACE
    assert ticks_due(hourly, HOUR, late) == [10 * HOUR]
    skipping = hourly._replace(catch_up="none")
    assert ticks_due(skipping, HOUR, late) == []
    assert newest_tick(skipping, HOUR, late) == 10 * HOUR
    assert ticks_due(skipping, HOUR, late - 1) == [10 * HOUR]
    whole = hourly._replace(catch_up="all")
    assert ticks_due(whole, HOUR, late) == [n * HOUR for n in range(2, 11)]


def test_at_most_a_thousand_ticks_are_caught_up_at_a_time():
    one, found = schedule(Every(SECOND), catch_up="all"), []
    while ticks := ticks_due(one, found[-1] if found else 0, 2500 * SECOND):
        assert len(ticks) <= MOST_CAUGHT_UP
        found += ticks
    assert found == [n * SECOND for n in range(1, 2501)]


@given(
    st.sampled_from(
        [
            Cron("* * * * * *", "UTC"),
            Cron("*/5 * * * *", "Europe/Berlin"),
            Cron("30 2 * * *", "Europe/Berlin"),
            Cron("*/10 30 2 29 3 *", "Europe/Berlin"),
            Cron("0 0 29 2 *", "UTC"),
            Every(1_500_000),
            Every(HOUR, 7),
        ]
    ),
    st.integers(1_700_000_000 * SECOND, 1_900_000_000 * SECOND),
    st.integers(0, 30).flatmap(lambda power: st.integers(0, 2**power * 1000)),
)
@settings(max_examples=150, deadline=None)
def test_the_newest_is_the_last_of_all(timing, last, milliseconds):
    now = last + milliseconds * 1000
    one = schedule(timing, catch_up="all")
    newest, found = newest_tick(one, last, now), []
    for _ in range(3):
        found += ticks_due(one, found[-1] if found else last, now)
    assert found == sorted(set(found))
    if newest is None:
        assert found == []
        return
    assert last < newest <= now
    following = timing.next_after(newest)
    assert following is None or following > now
    assert ticks_due(one._replace(catch_up="latest"), last, now) == [newest]
    assert len(found) == 3 * MOST_CAUGHT_UP or found[-1] == newest


def test_the_newest_of_years_of_seconds_is_found_at_once():
    asked = []

    class Counted(Every):
        def next_after(self, moment):
            asked.append(moment)
            return super().next_after(moment)

    one = schedule(Counted(SECOND))
    now = 10**15
    assert ticks_due(one, 0, now) == [now]
    assert len(asked) < 60


# Jitter


def test_jitter_puts_each_tick_off_by_as_much_on_all_machines():
    one = schedule(Every(HOUR), jitter=60 * SECOND)
    ticks = [n * HOUR for n in range(1000)]
    offsets = [run_at(one, tick) - tick for tick in ticks]
    assert offsets == [run_at(one._replace(priority=3), tick) - tick for tick in ticks]
    assert offsets != [run_at(one._replace(name="b"), tick) - tick for tick in ticks]
    assert 0 <= min(offsets) < 2 * SECOND
    assert 58 * SECOND < max(offsets) <= 60 * SECOND
    assert len(set(offsets)) > 990
    assert ticks_due(one, 0, HOUR) == [HOUR]  # the tick keeps its moment


def test_without_jitter_a_call_runs_at_its_tick():
    assert run_at(schedule(Every(HOUR)), HOUR) == HOUR
    chance = random.Random(1)
    one = schedule(Every(HOUR), jitter=1)
    assert {run_at(one, tick) - tick for tick in chance.sample(range(10**6), 50)} == {0, 1}
