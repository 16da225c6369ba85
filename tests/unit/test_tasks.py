import asyncio
import copy
import dataclasses
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import django
import django.tasks
import pytest
from django.tasks import task_backends
from django.tasks.exceptions import (
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    TaskResultMismatch,
)
from django.test import override_settings
from django.utils import timezone

from mainspring import Task, TaskResult, task
from mainspring.core import registry
from tests.naming import name_of
from tests.unit import tasks
from tests.unit.backends import KEPT, AuditedBackend, AuditedTask

IMMEDIATE = "mainspring.backends.immediate.ImmediateBackend"
ALL = [value for value in vars(tasks).values() if isinstance(value, django.tasks.Task)]


@pytest.fixture
def add():
    """A copy that a test may change."""
    return tasks.add.using()


# Declaring


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_every_task_is_djangos_and_ours(one):
    assert isinstance(one, django.tasks.Task)
    assert isinstance(one, Task)
    assert isinstance(hash(one), int)
    assert one == one.using()


def test_the_fields_are_djangos_with_djangos_defaults():
    ours = {f.name: f for f in dataclasses.fields(Task)}
    djangos = {f.name for f in dataclasses.fields(django.tasks.Task)}
    assert djangos < ours.keys()
    for name in ours.keys() - djangos:  # need not be given
        assert ours[name].default is not dataclasses.MISSING
    made = Task(func=tasks.plain)
    assert (made.priority, made.queue_name, made.backend) == (0, "default", "default")
    assert (made.run_after, made.takes_context) == (None, False)


def test_the_decorator_takes_djangos_arguments():
    assert (tasks.send.priority, tasks.send.queue_name) == (7, "mail")
    assert tasks.describe.takes_context
    assert tasks.send.name == "send"
    assert tasks.send.module_path == "tests.unit.tasks.send"
    assert tasks.Reports.monthly.module_path == "tests.unit.tasks.Reports.monthly"
    assert tasks.by_django.backend == "kept"


def test_it_is_declared_by_a_plain_call_too():
    made = task(tasks.plain)
    assert made.func is tasks.plain
    assert task()(tasks.plain) == made
    assert task(priority=3)(tasks.plain).priority == 3


def test_run_after_is_no_matter_of_the_declaration():
    with pytest.raises(TypeError, match="run_after cannot be defined statically"):
        task(run_after=timezone.now())(tasks.plain)


def nested():
    def inner():
        pass

    return inner


class Callable:
    __hash__ = None

    def __eq__(self, other):
        return False

    def __call__(self):
        pass

    def method(self):
        pass


@pytest.mark.parametrize(
    "function",
    [any, nested(), lambda: None, Callable(), Callable().method, Callable, "text".upper],
    ids=name_of,
)
@pytest.mark.parametrize("decorator", [task, django.tasks.task])
def test_a_function_must_be_at_module_level(decorator, function):
    if getattr(function, "__name__", "") == "<lambda>":
        function.__qualname__ = "test.<locals>.<lambda>"
    with pytest.raises(InvalidTask, match="Task function must be defined at a module level"):
        decorator()(function)


@pytest.mark.parametrize("function", [5, "text", object()])
def test_a_task_is_made_of_a_function(function):
    with pytest.raises(InvalidTask, match="A task is made of a function, not of"):
        task()(function)


def test_a_context_needs_a_first_argument():
    with pytest.raises(InvalidTask, match="does not have a first argument of 'context'"):
        task(takes_context=True)(tasks.add.func)


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="colour"):
        task(colour="red")(tasks.plain)


BAD_VALUES = [
    ({"priority": 101}, "priority must be a whole number between -100 and 100"),
    ({"priority": -101}, "priority must be a whole number"),
    ({"priority": 3.1}, "priority must be a whole number"),
    ({"priority": float("nan")}, "priority must be a whole number"),
    ({"priority": "high"}, "priority must be a whole number"),
    ({"queue_name": "unknown"}, "Queue 'unknown' is not valid for backend"),
    ({"queue_name": ["mail"]}, "is not valid for backend"),
    ({"queue_name": 5}, "Queue 5 is not valid for backend"),
    ({"run_after": datetime(2030, 1, 1, tzinfo=UTC)}, "Backend does not support run_after"),
    ({"max_attempts": 0}, "max_attempts must be a whole number of at least 1, not 0"),
    ({"max_attempts": -1}, "max_attempts must be a whole number of at least 1, not -1"),
    ({"max_attempts": 1.5}, "max_attempts must be a whole number"),
    ({"max_attempts": "3"}, "max_attempts must be a whole number of at least 1, not '3'"),
    ({"max_attempts": True}, "max_attempts must be a whole number"),
    ({"max_crashes": 0}, "max_crashes must be a whole number of at least 1, not 0"),
    ({"max_crashes": float("inf")}, "max_crashes must be a whole number"),
    ({"backoff": -1}, r"backoff must be a number of seconds, a timedelta, exponential\(\)"),
    ({"backoff": float("nan")}, "backoff must be .* not nan"),
    ({"backoff": timedelta(-1)}, "backoff must be"),
    ({"backoff": "5"}, "backoff must be .* not '5'"),
    ({"backoff": {"fixed": 1}}, "backoff must be"),
    ({"backoff": nested()}, "backoff must be .* or a function of"),
    ({"timeout": 0}, "timeout must be a number of seconds above 0, .* not 0"),
    ({"timeout": -0.5}, "timeout must be .* not -0.5"),
    ({"timeout": float("nan")}, "timeout must be"),
    ({"timeout": float("-inf")}, "timeout must be"),
    ({"timeout": 10**400}, "timeout must be"),
    ({"timeout": timedelta()}, "timeout must be"),
    ({"timeout": "5 s"}, "timeout must be .* not '5 s'"),
    ({"timeout": True}, "timeout must be"),
    ({"metadata": [("a", 1)]}, "metadata must be a dict, not"),
    ({"metadata": "a"}, "metadata must be a dict, not 'a'"),
    ({"metadata": {"a": {1}}}, r"The metadata\['a'\] is a set, which is not JSON"),
    ({"metadata": {"a": float("nan")}}, r"The metadata\['a'\] is nan"),
    ({"metadata": {5: "a"}}, "the key The metadata.* is a int"),
    ({"metadata": {"_a": 1}}, "The metadata key '_a' is reserved"),
    ({"metadata": {"_progress": [1, 2, ""]}}, "The metadata key '_progress' is reserved"),
    ({"atomic": 1}, "atomic must be True or False, not 1"),
    ({"atomic": None}, "atomic must be True or False"),
]
BAD_RUN_AFTER = [
    (datetime(2030, 1, 1), "run_after must be an aware datetime"),
    ("2030-01-01", "run_after must be a datetime, not '2030-01-01'"),
    (timedelta(1), "run_after must be a datetime"),
    (5, "run_after must be a datetime, not 5"),
    *(
        (
            edge.replace(tzinfo=timezone.get_fixed_timezone(60 * hours)),
            "run_after must lie between 0001",
        )
        for edge in (datetime.min, datetime.max)
        for hours in (-12, 0, 14)
    ),
]


@pytest.mark.parametrize(("changes", "said"), BAD_VALUES)
def test_bad_values_are_refused_everywhere(add, changes, said):
    before = dataclasses.astuple(add)
    with pytest.raises(InvalidTask, match=said):
        tasks.add.using(**changes)
    with pytest.raises(InvalidTask, match=said):
        add.update(**changes)
    for name, value in changes.items():
        with pytest.raises(InvalidTask, match=said):
            setattr(add, name, value)
    if "run_after" not in changes:
        with pytest.raises(InvalidTask, match=said):
            task(**changes)(tasks.plain)
    assert dataclasses.astuple(add) == before


def test_too_much_metadata_is_refused():
    with override_settings(
        TASKS={"default": {"BACKEND": IMMEDIATE, "OPTIONS": {"MAX_PAYLOAD": 9}}}
    ):
        tasks.add.using(metadata={"a": 123})
        with pytest.raises(
            InvalidTask, match=r"The metadata takes 10 bytes .* MAX_PAYLOAD allows 9"
        ):
            tasks.add.using(metadata={"a": 1234})


@pytest.mark.parametrize(("value", "said"), BAD_RUN_AFTER)
def test_a_bad_run_after_is_refused(value, said):
    with pytest.raises(InvalidTask, match=said):
        tasks.keep.using(run_after=value)


def test_without_time_zones_a_naive_run_after_is_right():
    with override_settings(USE_TZ=False):
        assert tasks.keep.using(run_after=datetime(2030, 1, 1)).enqueue().run_after is not None


def test_without_time_zones_a_run_after_at_the_edge_is_refused():
    with override_settings(USE_TZ=False), pytest.raises(InvalidTask, match="must lie between 0001"):
        tasks.keep.using(run_after=datetime.max)


def test_whole_priorities_at_the_edges_are_taken():
    for priority in (-100, 0, 100, 5.0):
        result = tasks.keep.using(priority=priority).enqueue()
        assert result.priority == priority
        assert type(result.priority) is int


def test_an_unknown_backend_is_refused(add):
    with pytest.raises(InvalidTaskBackend, match="'unknown' doesn't exist"):
        tasks.add.using(backend="unknown")
    with pytest.raises(InvalidTaskBackend, match="'unknown' doesn't exist"):
        add.backend = "unknown"
    assert add.backend == "default"
    with pytest.raises(InvalidTaskBackend, match="'unknown' doesn't exist"):
        task(backend="unknown")(tasks.plain)


def test_a_backend_without_queues_takes_any():
    assert tasks.add.using(queue_name="any", backend="anyqueue").queue_name == "any"


# using()


def test_using_makes_an_equal_distinct_task():
    copy = tasks.add.using()
    assert copy == tasks.add
    assert copy is not tasks.add
    assert hash(copy) == hash(tasks.add)


def test_using_changes_a_copy():
    due = timezone.now()
    deferred = tasks.keep.using(run_after=due)
    urgent = deferred.using(priority=10)
    assert (urgent.run_after, urgent.priority) == (due, 10)
    assert (deferred.priority, tasks.keep.run_after) == (0, None)


def test_using_leaves_djangos_fields_for_none():
    due = timezone.now()
    changed = tasks.keep.using(priority=3, run_after=due)
    same = changed.using(priority=None, queue_name=None, run_after=None, backend=None)
    assert same == changed


def test_using_names_an_unknown_field():
    with pytest.raises(TypeError, match=r"using\(\) got 'colour', which is not a field of Task"):
        tasks.add.using(colour="red")


# Changing in place


def test_a_field_is_changed_in_place(add):
    add.priority = 5
    assert add.priority == 5
    assert add.update(priority=6, queue_name="mail") is add
    assert (add.priority, add.queue_name) == (6, "mail")
    assert add.enqueue(1).priority == 6
    assert tasks.add.priority == 0


def test_a_decorator_changes_a_task_in_place():
    assert tasks.alarm.priority == 50
    assert tasks.alarm.enqueue().task is tasks.alarm


def test_update_is_all_or_nothing(add):
    for bad in ({"queue_name": "unknown"}, {"func": nested()}, {"backend": "unknown"}):
        with pytest.raises((InvalidTask, InvalidTaskBackend)):
            add.update(priority=9, **bad)
        assert add == tasks.add
    with pytest.raises(AttributeError, match="'colour' is not a field of Task"):
        add.update(priority=9, colour="red")
    with pytest.raises(AttributeError, match="'name' is not a field of Task"):
        add.update(priority=9, name="other")
    assert add == tasks.add
    assert add.enqueue(1).return_value == 1


def test_only_fields_can_be_set(add):
    for name in ("colour", "name", "module_path", "call"):
        with pytest.raises(AttributeError):
            setattr(add, name, 1)
    with pytest.raises(AttributeError, match="'priority' is a field of a task and cannot be"):
        del add.priority
    with pytest.raises(AttributeError):
        del add.colour
    assert add == tasks.add


def test_several_fields_are_validated_together():
    moved = tasks.keep.using(run_after=timezone.now())
    with pytest.raises(InvalidTask, match="run_after"):
        moved.backend = "default"
    moved.update(backend="default", run_after=None)
    assert moved.backend == "default"


def test_a_function_is_replaced_in_place():
    made = Task(func=tasks.plain)
    made.func = tasks.add.func
    assert made.enqueue(2, 3).return_value == 5
    assert hash(made) == hash(tasks.add)


def test_djangos_own_tasks_stay_frozen():
    theirs = django.tasks.task(backend="django")(tasks.plain)
    assert type(theirs) is django.tasks.Task
    with pytest.raises(dataclasses.FrozenInstanceError):
        theirs.priority = 5
    assert theirs.using(priority=5).priority == 5


# Equality and hash


class Awkward:
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("cannot compare")


class Many:
    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("more than one value")

    __hash__ = None


def test_equality_compares_all_fields():
    assert tasks.add != tasks.add.using(priority=1)
    assert tasks.add != tasks.add.using(queue_name="mail")
    assert tasks.add != tasks.send
    assert tasks.audited != tasks.audited.using(owner="dev")
    assert tasks.audited != Task(func=tasks.audited.func, backend="audited")
    assert tasks.add != "text"
    assert tasks.add != None  # noqa: E711
    assert tasks.add not in (5, object(), tasks.send)


def test_the_hash_goes_by_the_path_alone():
    assert hash(tasks.add) == hash(tasks.add.using(priority=9))
    assert tasks.add in {tasks.add.using(): 1}


@pytest.mark.parametrize("value", [Awkward(), Many(), [1], {"a": {1}}, float("nan")])
def test_comparing_and_hashing_never_fail(value):
    one, other = tasks.audited.using(owner=value), tasks.audited.using(owner=Awkward())
    assert one == one.using()
    assert (one == other) is False
    assert (one != other) is True
    assert hash(one) == hash(other) == hash(tasks.audited)


# Extending


@dataclass(slots=True, kw_only=True)
class Slotted(Task[..., Any]):
    owner: str = ""
    tags: list[str] = field(default_factory=list)


@dataclass
class Plain(Task[..., Any]):
    owner: str = ""


@dataclass(kw_only=True, order=True)
class Ordered(Task[..., Any]):
    owner: Any = ""


@dataclass(slots=True, kw_only=True, eq=False)
class WithoutEq(Task[..., Any]):
    owner: str = ""


@dataclass(kw_only=True)
class Derived(Plain):
    level: int = 0
    label: str = field(init=False, default="")

    def __post_init__(self):
        self.label = f"{self.owner}:{self.level}"
        Task.__post_init__(self)


@dataclass(slots=True, kw_only=True)
class Checked(Task[..., Any]):
    limit: int = 0

    def __post_init__(self):
        if self.limit < 0:
            raise InvalidTask("limit must not be negative")
        Task.__post_init__(self)


@pytest.mark.parametrize("cls", [Slotted, Plain, Ordered, WithoutEq])
def test_a_dataclass_extends_it(cls):
    made = cls(func=tasks.plain, owner="ops")
    assert isinstance(made, django.tasks.Task)
    assert made.owner == "ops"
    assert made == cls(func=tasks.plain, owner="ops")
    assert made != cls(func=tasks.plain, owner="dev")
    assert hash(made) == hash(Task(func=tasks.plain))
    made.owner = Awkward()
    assert made == made.using()
    assert made != cls(func=tasks.plain, owner="dev")
    made.owner = "dev"
    assert made == cls(func=tasks.plain, owner="dev")
    assert made.using(owner="qa", priority=4).owner == "qa"
    with pytest.raises(InvalidTask):
        made.priority = 1000
    assert made.priority == 0
    assert made.enqueue().is_finished
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert type(again) is cls
        assert again == made


def test_only_slots_keep_other_attributes_out():
    with pytest.raises(AttributeError):
        Slotted(func=tasks.plain).note = "x"
    made = Plain(func=tasks.plain)
    made.note = "x"
    assert made.note == "x"


def test_a_post_init_of_ones_own_is_kept():
    made = Derived(func=tasks.plain, owner="ops", level=2)
    assert made.label == "ops:2"
    assert made.using(level=3).label == "ops:3"
    with pytest.raises(InvalidTask, match="limit must not be negative"):
        Checked(func=tasks.plain, limit=-1)
    with pytest.raises(InvalidTask, match="limit must not be negative"):
        Checked(func=tasks.plain).using(limit=-1)


def test_a_backend_gives_its_tasks_more_fields():
    assert type(tasks.audited) is AuditedTask
    assert tasks.audited.owner == "ops"
    made = task(backend="audited", owner="dev", tags=("a",))(tasks.plain)
    assert (made.owner, made.tags) == ("dev", ("a",))
    with pytest.raises(TypeError, match="colour"):
        task(backend="audited", colour="red")(tasks.plain)
    assert issubclass(AuditedBackend.task_class, django.tasks.Task)


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.0 takes its own fields only")
def test_djangos_decorator_takes_more_fields():
    made = django.tasks.task(backend="audited", owner="dev")(tasks.plain)
    assert type(made) is AuditedTask
    assert made.owner == "dev"


def test_djangos_decorator_makes_ours():
    assert type(tasks.by_django) is Task
    assert tasks.by_django.enqueue().task is tasks.by_django


# Calling


def test_call_runs_it_here():
    assert tasks.add.call(1, 2) == 3
    assert tasks.add_soon.call(1, 2) == 3
    assert tasks.double_add.call(1, b=2) == 6
    with pytest.raises(ValueError, match="out of order"):
        tasks.fail.call()


def test_acall_runs_it_here():
    async def main():
        return await tasks.add.acall(1, 2), await tasks.add_soon.acall(1, b=2)

    assert asyncio.run(main()) == (3, 3)


def test_enqueue_and_get_result():
    result = tasks.keep.enqueue(1)
    assert tasks.keep.get_result(result.id) == result
    assert asyncio.run(tasks.keep.aget_result(result.id)) == result
    with pytest.raises(TaskResultMismatch, match="Task does not match"):
        tasks.keep_other.get_result(result.id)
    with pytest.raises(TaskResultMismatch, match="Task does not match"):
        asyncio.run(tasks.keep_other.aget_result(result.id))
    with pytest.raises(TaskResultDoesNotExist):
        tasks.keep.get_result("123")


def test_aenqueue():
    result = asyncio.run(tasks.keep.aenqueue(1, b=2))
    assert type(result) is TaskResult
    assert (result.args, result.kwargs) == ([1], {"b": 2})


def test_bad_arguments_are_refused_by_name_and_nothing_is_stored():
    before = len(KEPT.jobs)
    for bad, error in [
        (datetime(2026, 1, 1), TypeError),
        ({1}, TypeError),
        (float("nan"), ValueError),
        ({1: 2}, TypeError),
        ("\ud800", ValueError),
        ("x" * 10 * 1024 * 1024, ValueError),
    ]:
        with pytest.raises(error, match=r"[Aa]rgument 2"):
            tasks.keep.enqueue(1, bad)
        with pytest.raises(error, match=r"[Aa]rgument 'due'"):
            tasks.keep.enqueue(1, due=bad)
        with pytest.raises(error, match=r"[Aa]rgument 'due'"):
            asyncio.run(tasks.keep.aenqueue(1, due=bad))
    assert len(KEPT.jobs) == before


def test_a_task_is_validated_anew_when_the_settings_changed():
    moved = tasks.add.using(queue_name="mail")
    moved.enqueue(1)
    with override_settings(TASKS={"default": {"BACKEND": IMMEDIATE}}):
        with pytest.raises(InvalidTask, match="Queue 'mail' is not valid for backend"):
            moved.enqueue(1)
        with pytest.raises(InvalidTask, match="Queue 'mail' is not valid for backend"):
            asyncio.run(moved.aenqueue(1))
    with override_settings(TASKS={}), pytest.raises(InvalidTaskBackend):
        moved.enqueue(1)
    assert moved.enqueue(1).is_finished


def test_get_backend():
    assert tasks.add.get_backend() is task_backends["default"]
    assert tasks.keep.get_backend() is task_backends["kept"]


# Pickling


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_it_pickles_by_path_and_keeps_its_changes(one):
    changed = one.using(priority=9)
    for made in (one, changed):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(made, protocol))
            assert type(again) is type(made)
            assert again == made
            assert again.func is made.func
        assert copy.deepcopy(made) == copy.copy(made) == made
    assert len(pickle.dumps(one)) < 250


def test_pickling_keeps_every_field():
    due = datetime(2030, 1, 1, tzinfo=UTC)
    changed = tasks.audited.using(owner="dev", tags=("a", "b"), run_after=due)
    again = pickle.loads(pickle.dumps(changed))
    assert (again.owner, again.tags, again.run_after) == ("dev", ("a", "b"), due)


def test_a_fresh_process_unpickles_it():
    sent = [
        tasks.add.using(priority=9),
        tasks.Reports.monthly,
        tasks.audited.using(owner="dev"),
        tasks.double_add,
    ]
    code = (
        "import pickle, sys, django\n"
        "django.setup()\n"
        "for one in pickle.loads(sys.stdin.buffer.read()):\n"
        "    print(type(one).__name__, one.module_path, one.priority)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(sent),
        capture_output=True,
        check=True,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.decode().splitlines() == [
        "Task tests.unit.tasks.add 9",
        "Task tests.unit.tasks.Reports.monthly 0",
        "AuditedTask tests.unit.tasks.audited 0",
        "Task tests.unit.tasks.double_add 0",
    ]


def test_what_was_declared_last_under_a_path_is_found():
    made = Slotted(func=tasks.plain, owner="ops")
    assert registry.declared(made.module_path) is made
    made.using(owner="dev")
    assert registry.declared(made.module_path) is made
