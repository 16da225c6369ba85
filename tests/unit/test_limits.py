import pickle
import random
from datetime import timedelta

import pytest
from django.tasks import Task as DjangosTask
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTask
from django.test import override_settings

from mainspring import Limit, Rate, Task, TaskContext
from mainspring.backends.storage import Staged
from mainspring.core import admission, codec, outcomes
from mainspring.core.admission import Admitted, Candidate, Look, Seen
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from mainspring.core.limits import Bound, bounds_of, group_of, has_rates, has_slots, short
from mainspring.core.results import TaskError
from mainspring.maintenance.stager import Stager
from mainspring.runtime.limited import Limited
from tests.contract.jobs import job
from tests.contract.limits import limited, slots, starts
from tests.unit import tasks
from tests.unit.backends import KEPT

# Limit and Rate


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Limit(0), "limit must be a whole number from 1 to 1,000, not 0."),
        (lambda: Limit(1001), "limit must be a whole number from 1 to 1,000, not 1001."),
        (lambda: Limit(2.0), "limit must be a whole number"),
        (lambda: Limit(True), "limit must be a whole number"),
        (lambda: Limit("3"), "limit must be a whole number"),
        (lambda: Rate(10**6 + 1, 60), "limit must be a whole number from 1 to 1,000,000"),
        (lambda: Rate(1, 0), "per must be a number of seconds from 0.001 to 366 days, or a"),
        (lambda: Rate(1, 367 * 86400), "per must be a number of seconds"),
        (lambda: Rate(1, timedelta(days=-1)), "per must be a number of seconds"),
        (lambda: Rate(1, float("nan")), "per must be a number of seconds"),
        (lambda: Rate(1, "60"), "per must be a number of seconds"),
        (lambda: Rate(1, True), "per must be a number of seconds"),
        (lambda: Limit(1, key=5), "key must be a text such as '{user_id}', a function"),
        (lambda: Limit(1, key=""), "key='' must not be empty."),
        (lambda: Limit(1, key="{"), "key='{' is no text that str.format() takes: "),
        (lambda: Limit(1, key="{a.b}"), "key='{a.b}' has {a.b}; it may name arguments alone"),
        (lambda: Limit(1, key="{}"), "key='{}' has {}; it may name arguments alone"),
        (lambda: Limit(1, key="{a:{b}}"), "has an argument in the format '{b}' of another one."),
        (lambda: Limit(1, name=""), "name must be a text of 1 to 200 characters"),
        (lambda: Limit(1, name="a[b]"), "without brackets, not 'a[b]'."),
        (lambda: Rate(1, 1, name=5), "name must be a text"),
    ],
)
def test_what_makes_no_limit_is_refused(make, said):
    with pytest.raises(ValueError, match=r"^(limit|per|key|name)") as raised:
        make()
    assert said in str(raised.value)


def test_limits_are_values():
    assert Limit(3, key="{0}", name="a") == Limit(3, key="{0}", name="a")
    assert Rate(3, per=60) != Rate(3, per=61)
    assert pickle.loads(pickle.dumps(Rate(3, 60, "{0}"))) == Rate(3, 60, "{0}")
    with pytest.raises(AttributeError):
        Limit(3).limit = 4


# What a group tells


def test_a_group_tells_its_bounds_in_one_order():
    bounds = (slots(3), starts(5, 60))
    group = group_of(bounds)
    assert group == group_of(reversed(bounds)) == group_of((*bounds, *bounds))
    assert group == '[["c:slots",3],["r:starts",5,60000000]]'
    assert bounds_of(group) == bounds
    assert (has_slots(group), has_rates(group)) == (True, True)
    assert (has_slots(group_of([starts(1)])), has_rates(group_of([slots(1)]))) == (False, False)
    assert (has_slots(None), has_rates(None)) == (False, False)


def test_the_longest_group_fits_its_column():
    name, key = "x" * 200, "ключ\n'\"\\" * 100
    longest = timedelta(days=366)
    bounds = [
        Bound.of(limit, f"{name}{number}", key)
        for number in range(2)
        for limit in (Limit(1000), Rate(1_000_000, longest))
    ]
    group = group_of(bounds)
    assert len(group) <= 255
    assert group.isascii()
    assert group.isprintable()
    assert len(bounds_of(group)) == 4


def test_short_names_are_kept_and_others_told_apart():
    assert short("shop.tasks.send[5]") == "shop.tasks.send[5]"
    names = ["a" * 43, "a" * 44, "ä", "a\n", 'a"', "a\\", "\ud800", "a" * 42 + "[1]"]
    found = {short(name) for name in names}
    assert len(found) == len(names)
    assert all(len(one) <= 42 and one.isascii() and one.isprintable() for one in found)
    # Nothing readable looks like what has a digest.
    assert not any(one.endswith("]") for one in found)
    assert all("]" in one for one in found)


@pytest.mark.parametrize("per", [60, 60.0, timedelta(minutes=1)])
def test_equal_rates_have_equal_bounds(per):
    assert Bound.of(Rate(5, per), "a", None) == Bound("r:a", 5, 60 * SECOND)


# Which group a call is in


def group(one, *args, **kwargs):
    """The limits that a call has to wait for, as stored."""
    found = one.using(backend="kept").enqueue(*args, **kwargs)
    job = KEPT.jobs[found.id]
    assert job.state == (State.READY if job.limit_group is None else State.HELD)
    return job.limit_group


def named(*names):
    return group_of([Bound(f"c:{name}", 1) for name in names])


def made(func=tasks.plain, **fields):
    return Task(func=func, backend="kept", **fields)


def user(user_id, *rest, order=None, **others):
    """A function of many kinds of arguments."""


def nothing():
    """A function without arguments."""


def with_context(context: TaskContext, user_id: int) -> None:
    """A function that takes the context."""


PATH = "tests.unit.test_limits"


def test_a_call_without_limits_has_no_group():
    assert group(tasks.add, 1) is None


def test_a_task_has_its_own_limit_by_default():
    assert group(made(user, concurrency=Limit(1)), 5) == named(f"{PATH}.user")


def test_both_kinds_of_limit():
    one = made(user, concurrency=Limit(1), rate=Rate(5, per=60, name="api"))
    assert group(one, 5) == group_of([Bound(f"c:{PATH}.user", 1), Bound("r:api", 5, 60 * SECOND)])


@pytest.mark.parametrize(
    ("key", "args", "kwargs", "text"),
    [
        ("{user_id}", (5,), {}, "5"),
        ("{user_id}", (), {"user_id": 5}, "5"),
        ("{0}", (5,), {}, "5"),
        ("{0}", (), {"user_id": 5}, "5"),
        ("{1}", (5, "x"), {}, "x"),
        ("u{user_id:03}-{order}", (5,), {"order": "b"}, "u005-b"),
        ("{order}", (5,), {}, "None"),
        ("{colour}", (5,), {"colour": "red"}, "red"),
        ("all", (5,), {}, "all"),
        (lambda user_id, **_: f"<{user_id}>", (5,), {"order": 1}, "<5>"),
    ],
)
def test_keys(key, args, kwargs, text):
    one = made(user, concurrency=Limit(1, key, name="n"))
    assert group(one, *args, **kwargs) == named(f"n[{text}]")


def test_the_context_is_no_argument():
    one = made(with_context, takes_context=True, concurrency=Limit(1, "{0}-{user_id}", "n"))
    assert group(one, 5) == named("n[5-5]")


def test_a_key_gets_what_the_task_will_get():
    one = made(user, concurrency=Limit(1, lambda user_id: type(user_id).__name__, "n"))
    assert group(one, (1, 2)) == named("n[list]")


@pytest.mark.parametrize(
    ("key", "args", "kind", "said"),
    [
        ("{colour}", (5,), ValueError, "the call lacks the argument {colour}."),
        ("{1}", (5,), ValueError, "the call lacks the argument {1}."),
        ("{user_id}", (), TypeError, "missing a required argument: 'user_id'."),
        ("{user_id:d}", ("x",), ValueError, "Unknown format code 'd'"),
        (lambda *_: 5, (1,), TypeError, "must return a text, not 5."),
    ],
)
def test_a_key_that_cannot_be_made_is_told_when_enqueued(key, args, kind, said):
    one = made(user, concurrency=Limit(1, key))
    with pytest.raises(kind) as raised:
        one.enqueue(*args)
    assert f"of concurrency of {PATH}.user" in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize("key", ["{colour}", "{1}"])
def test_a_key_that_no_call_fits_is_refused_when_declared(key):
    with pytest.raises(InvalidTask, match=r"which is no argument of add\(\)"):
        made(tasks.add.func, concurrency=Limit(1, "{2}"))
    with pytest.raises(InvalidTask, match=r"key='{x}' of rate has {x}"):
        made(tasks.add.func, rate=Rate(1, 1, "{x}"))
    made(user, concurrency=Limit(1, key))  # which takes any


@pytest.mark.parametrize(
    ("field", "value", "such_as"),
    [
        ("concurrency", 3, "Limit such as Limit(3)"),
        ("concurrency", Rate(1, 1), "Limit such as Limit(3)"),
        ("rate", (100, 60), "Rate such as Rate(100, per=60)"),
        ("rate", Limit(1), "Rate such as Rate(100, per=60)"),
    ],
)
def test_other_values_are_refused(field, value, such_as):
    with pytest.raises(InvalidTask, match=f"^{field} must be a ") as raised:
        made(**{field: value})
    assert such_as in str(raised.value)


def test_one_call_may_have_other_limits():
    one = made(user, concurrency=Limit(1))
    assert group(one.using(concurrency=Limit(2, name="n")), 1) == group_of([Bound("c:n", 2)])
    assert group(one.using(concurrency=None), 1) is None


def test_a_task_can_be_given_limits_in_place():
    one = made(user)
    assert group(one, 1) is None
    one.concurrency = Limit(1, name="n")
    assert group(one, 1) == named("n")


LIMITED_QUEUES = {
    "BACKEND": "tests.unit.backends.LimitedBackend",
    "QUEUES": ["default", "mail"],
    "OPTIONS": {"QUEUE_LIMITS": {"mail": {"concurrency": Limit(1, "{0}"), "rate": (9, 60)}}},
}


@override_settings(TASKS={"default": LIMITED_QUEUES, "kept": LIMITED_QUEUES})
def test_all_calls_on_a_queue_share_its_limits():
    limits = [Bound("c:queue:mail[1]", 1), Bound("r:queue:mail", 9, 60 * SECOND)]
    djangos = DjangosTask(
        func=tasks.add.func, priority=0, backend="kept", queue_name="mail", run_after=None
    )
    for one in (
        tasks.add.using(queue_name="mail", backend="kept"),
        tasks.echo.using(queue_name="mail", backend="kept"),
        djangos,
    ):
        result = task_backends["kept"].enqueue(one, (1,), {})
        assert KEPT.jobs[result.id].limit_group == group_of(limits)
    assert group(tasks.add, 1) is None
    own = made(queue_name="mail", func=user, concurrency=Limit(1, name="n"))
    assert group(own, 1) == group_of([*limits, Bound("c:n", 1)])
    with pytest.raises(InvalidTask, match=r"of QUEUE_LIMITS\['mail'\] has \{0\}"):
        made(nothing, queue_name="mail")


def test_immediate_calls_run_whatever_their_limits():
    one = Task(func=tasks.add.func, concurrency=Limit(1), rate=Rate(1, 3600))
    assert [one.enqueue(number, 1).return_value for number in range(3)] == [1, 2, 3]


# Looks


def seen(**states):
    return {job_id: Seen(state, None) for job_id, state in states.items()}


def look(*bounds, stored=None, states=None, now=0):
    made = Look([group_of(bounds)]).read(stored or {})
    made.see(seen(**(states or {})), now)
    return made


def admitted(made, *names, bounds):
    one = group_of(bounds)
    return [c.id for c in made.choose([Candidate(name, one, 0, 0) for name in names])]


def test_a_look_lets_in_as_many_as_there_is_room_for():
    bounds = [slots(2)]
    made = look(*bounds)
    assert admitted(made, "a", "b", "c", bounds=bounds) == ["a", "b"]
    ((name, used, idle_at),) = made.changes(5)
    assert (name, codec.decode(used)) == ("c:slots", ["a", "b"])
    assert idle_at > 5
    again = look(*bounds, stored={name: used}, states={"a": State.RUNNING, "b": State.FAILED})
    assert again.rooms() == {group_of(bounds): 1}
    assert [codec.decode(used) for _, used, _ in again.changes(5)] == [["a"]]


def test_nothing_is_to_be_stored_where_nothing_has_changed():
    stored = {"c:slots": codec.encode(["a"])}
    assert look(slots(1), stored=stored, states={"a": State.READY}).changes(0) == []


def test_what_is_held_again_holds_no_slot():
    stored = {"c:slots": codec.encode(["a", "b", "c"])}
    states = {"a": State.HELD, "b": State.SCHEDULED}
    assert look(slots(1), stored=stored, states=states).rooms()


class Calls:
    """A rate, the calls that it admits, and what becomes of them."""

    def __init__(self, bound):
        self.bound, self.stored, self.states = bound, b"", {}
        self.admitted = []

    def look(self, now, most=10**9):
        made = Look([group_of([self.bound])]).read({self.bound.name: self.stored})
        made.see(self.states, now)
        room = min(made.room(group_of([self.bound])), most)
        names = [f"{now}-{n}" for n in range(room)]
        assert admitted(made, *names, bounds=[self.bound]) == names
        for name in names:
            self.states[name] = Seen(State.READY, None)
        self.admitted += [now] * room
        for _, used, _ in made.changes(now):
            self.stored = used
        return room, made.next_at()

    def start(self, now):
        for name, one in self.states.items():
            if one.state == State.READY:
                self.states[name] = Seen(State.SUCCESSFUL, now)


def test_a_rate_lets_in_again_when_its_window_has_passed():
    calls = Calls(Bound("r:x", 3, 10))
    assert calls.look(0, most=2) == (2, None)
    calls.start(0)
    assert calls.look(4)[0] == 1
    calls.start(4)
    assert calls.look(9) == (0, 10)
    assert calls.look(10) == (2, 14)
    calls.start(10)
    assert calls.look(13) == (0, 14)


def test_a_rate_waits_for_those_that_have_not_started():
    calls = Calls(Bound("r:x", 2, 10))
    assert calls.look(0) == (2, None)
    assert calls.look(100) == (0, None)
    calls.start(105)
    assert calls.look(106) == (0, 115)


@pytest.mark.parametrize("limit", [1, 7, 999, 5000, 1_000_000])
@pytest.mark.parametrize("seed", range(5))
def test_no_window_of_a_rate_has_more_than_its_number(limit, seed):
    chance, per = random.Random(seed), 1000 * SECOND
    calls, now, began = Calls(Bound("r:x", limit, per)), 0, []
    for _ in range(200):
        now += chance.choice([1, SECOND, 20 * SECOND, per // 3])
        calls.look(now, chance.choice([1, 40, 10**9]))
        if chance.random() < 0.8:
            began += [now for one in calls.states.values() if one.state == State.READY]
            calls.start(now)
            calls.states.clear()
    assert began
    for moment in set(began):
        assert sum(moment <= at < moment + per for at in began) <= limit
    assert len(calls.stored) < 60_000


def test_many_starts_are_merged_and_none_is_forgotten_early():
    starts_at = dict.fromkeys(range(5000), 1)
    merged = admission._merged(starts_at, -1, 10)
    assert len(merged) == 500
    assert sum(number for _, number in merged) == 5000
    assert merged[0] == [9, 10]  # as the last of them
    assert admission._merged(starts_at, 4997, 10) == [[4998, 1], [4999, 1]]


def test_what_waits_for_a_worker_is_stored_again_after_a_second():
    calls = Calls(Bound("r:x", 1, 10 * SECOND))
    calls.look(0)
    made = Look([group_of([calls.bound])]).read({"r:x": calls.stored})
    made.see(calls.states, SECOND)
    assert made.outdated() == []
    made.see(calls.states, 2 * SECOND + 1)
    assert made.outdated() == [group_of([calls.bound])]


def test_the_next_look_is_when_all_rates_of_a_group_have_room():
    one, two = Bound("r:one", 1, 10), Bound("r:two", 1, 30)
    stored = {bound.name: codec.encode([bound.per, {}, [[5, 1]]]) for bound in (one, two)}
    made = Look([group_of([one, two]), group_of([two])]).read(stored)
    made.see({}, 6)
    assert made.next_at() == 35
    both = Look([group_of([one, slots(1)])]).read({**stored, "c:slots": codec.encode(["a"])})
    both.see(seen(a=State.RUNNING), 6)
    assert both.next_at() is None  # a slot comes when a call ends


# Each start counts for a rate


@pytest.mark.parametrize(
    ("bounds", "state"),
    [((), State.READY), ([slots(1)], State.READY), ([starts(1)], State.SCHEDULED)],
)
def test_another_start_of_a_job_with_a_rate_is_admitted_anew(bounds, state):
    one = (limited(0, *bounds) if bounds else job())._replace(claim=1, state=State.RUNNING)
    error = TaskError("mainspring.exceptions.WorkerLost", "")
    assert outcomes.snoozed(one, 5, 0).state == state
    assert outcomes.failed(one, "w", 1, 5, error, retry_at=5).state == state
    assert outcomes.lost(one, "w", 1, 5, error, 3).state == state
    assert outcomes.untouched(one).state == State.READY


# The stager


class Store:
    """Answers what it is told to."""

    def __init__(self, staged, admitted):
        self.staged, self.admitted, self.asked = staged, admitted, []

    def stage(self, now):
        self.asked.append("stage")
        return self.staged

    def admit(self, now):
        self.asked.append("admit")
        return self.admitted

    def wake(self):
        self.asked.append("wake")


@pytest.mark.parametrize(
    ("staged", "admitted", "pause"),
    [
        (Staged(0, None, True), Admitted(0, None), 1.0),
        (Staged(0, 300_000, True), Admitted(0, None), 0.3),
        (Staged(0, None, True), Admitted(2, 200_000), 0.2),
        (Staged(0, None, True), Admitted(2, 1_000), 0.01),
        (Staged(0, None, True), Admitted(0, 1_000), 0.1),
        (Staged(5, -5, True), Admitted(1, 9 * SECOND), 0),
    ],
)
def test_the_stager_sleeps_until_something_is_due(staged, admitted, pause):
    store = Store(staged, admitted)
    assert Stager(store).step(0) == pause
    assert store.asked == ["stage", "admit", *(["wake"] if admitted.admitted else [])]


def test_the_stager_admits_where_there_is_somebody_held_and_once_a_minute():
    store = Store(Staged(0, None, False), Admitted(0, None))
    stager = Stager(store)
    for second in range(130):
        stager.step(second * SECOND)
    assert store.asked.count("admit") == 3


# What a worker keeps


def surplus(limited, jobs, is_async, slots):
    kept, rest = limited.parted(jobs, is_async, slots)
    assert sorted(kept + rest) == sorted(jobs)
    return rest


def taken(*names, group=None):
    return [job(id=name, limit_group=group or group_of([slots(9)])) for name in names]


def ended(one, seconds):
    return outcomes.succeeded(one._replace(claim=1), "w", 0, round(seconds * SECOND), None)


def test_a_worker_keeps_as_many_jobs_with_slots_as_it_runs_at_once():
    limited, jobs = Limited(), [*taken("a", "b"), job(id="plain"), *taken("c")]
    limited.claimed(jobs)
    assert [one.id for one in surplus(limited, jobs, False, 2)] == ["c"]
    more = taken("d")
    limited.claimed(more)
    assert surplus(limited, more, False, 2) == more
    assert surplus(limited, more, True, 5) == []  # async ones beside them


def test_rates_hold_no_slots():
    limited, jobs = Limited(), taken("a", "b", group=group_of([starts(5)]))
    limited.claimed(jobs)
    assert surplus(limited, jobs, False, 1) == []
    assert not limited.freed_by([ended(jobs[0], 1)])


def test_what_is_settled_or_released_makes_room():
    limited, jobs = Limited(), taken("a", "b")
    limited.claimed(jobs)
    surplus(limited, jobs, False, 2)
    assert limited.freed_by([ended(jobs[0], 1)]) == {jobs[0].limit_group}
    assert limited.freed_by([]) == {jobs[0].limit_group}  # until it is told
    limited.told()
    assert not limited.freed_by([])
    limited.given_back([jobs[1]])
    more = taken("c", "d", "e")
    limited.claimed(more)
    assert [one.id for one in surplus(limited, more, False, 2)] == ["e"]


def test_of_short_ones_it_keeps_as_many_as_take_two_milliseconds():
    limited = Limited()
    for _ in range(12):
        jobs = taken("a")
        limited.claimed(jobs)
        surplus(limited, jobs, False, 1)
        limited.freed_by([ended(jobs[0], 0.0002)])
    jobs = taken(*map(str, range(20)))
    limited.claimed(jobs)
    assert len(surplus(limited, jobs, False, 1)) == 10
    limited.freed_by([ended(jobs[0], 1)])  # slower at once
    more = taken("x")
    limited.claimed(more)
    assert surplus(limited, more, False, 1) == more


def test_it_claims_so_many_that_it_looks_as_if_none_were_too_many():
    limited = Limited()
    assert limited.room(100, 1) == 100
    for _ in range(8):
        limited.claimed(taken("a"))
    assert limited.room(100, 1) == 1
    assert limited.room(100, 4) == 4
    limited.claimed([job(), *taken("b")])
    assert limited.room(100, 3) == 4
    for _ in range(12):
        limited.claimed([job()])
    assert limited.room(100, 1) == 100
