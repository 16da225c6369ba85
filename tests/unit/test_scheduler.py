"""The loop that enqueues the calls of schedules, with clocks that the tests set."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.tasks import task_backends
from django.tasks.signals import task_enqueued

from mainspring import TaskContext, TaskResult
from mainspring.core import clock, codec
from mainspring.core.agenda import Agenda
from mainspring.core.clock import SECOND
from mainspring.core.crons import Cron, every_of
from mainspring.core.declarations import Declaration
from mainspring.core.entries import Entry
from mainspring.core.jobs import Job, State
from mainspring.core.schedules import Schedule
from mainspring.exceptions import StoreRefused, StoreUnavailable
from mainspring.maintenance.planned import LOADED_AT, Planned
from mainspring.maintenance.scheduler import Scheduler
from mainspring.maintenance.store_clock import StoreClock
from tests.unit import tasks

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEGIN = 1_800_000_000 * SECOND - 1_800_000_000 * SECOND % DAY  # midnight in UTC
ALIAS = "default"


class World:
    """A store, its clock, and the clock of the machine that the workers are on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend: Any = task_backends[ALIAS]
        self.storage: Any = self.backend.storage
        self.elapsed = LOADED_AT + HOUR
        self.offset = BEGIN - self.elapsed
        """What is set when the store's clock is."""
        self.own_offset = self.offset
        self.calls: Counter[str] = Counter()
        self.entries: list[Entry] = []
        monkeypatch.setattr(self.storage, "clock", lambda: self.now)
        monkeypatch.setattr(clock, "now", lambda: self.elapsed + self.own_offset)
        monkeypatch.setattr(self.storage, "entries_mark", lambda: tuple(self.entries))
        monkeypatch.setattr(self.storage, "read_entries", lambda: list(self.entries))
        for name in ("clock", "read_schedules", "start_schedules", "tick"):
            self._count(monkeypatch, name)

    def _count(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        verb = getattr(self.storage, name)

        def counted(*args: Any) -> Any:
            self.calls[name] += 1
            return verb(*args)

        monkeypatch.setattr(self.storage, name, counted)

    @property
    def now(self) -> int:
        return self.elapsed + self.offset

    def worker(self, *schedules: Schedule, loaded: int = 0) -> "Hand":
        """Start a worker, whose code was loaded so much later than that of the first ones."""
        store_clock = StoreClock(self.storage, lambda: self.elapsed - loaded)
        return Hand(self, Scheduler(self.backend, lambda: schedules, store_clock))

    @property
    def jobs(self) -> list[Job]:
        """What is stored, in its order."""
        return sorted(self.storage._jobs.values())

    @property
    def ticks(self) -> list[float]:
        """The seconds after the beginning of all ticks that were enqueued."""
        return [_tick_of(job) for job in self.jobs]

    def finish_all(self) -> None:
        """Have all calls end."""
        for job in self.jobs:
            self.storage._put(job._replace(state=State.SUCCESSFUL, finished_at=self.now))


class Hand:
    """One worker, turned by hand."""

    def __init__(self, world: World, scheduler: Scheduler) -> None:
        self.world = world
        self.scheduler = scheduler

    def step(self) -> float:
        """Take one step."""
        return self.scheduler.step(0)

    def turn(self, seconds: float) -> None:
        """Let time pass, and take the steps that are due in it."""
        turn(self.world, seconds, self)


def turn(world: World, seconds: float, *hands: Hand) -> None:
    """Let time pass for several workers."""
    end = world.elapsed + round(seconds * SECOND)
    due = dict.fromkeys(hands, world.elapsed)
    while (first := min(due, key=lambda hand: due[hand])) and due[first] <= end:
        world.elapsed = max(due[first], world.elapsed)
        due[first] = world.elapsed + max(round(first.step() * SECOND), 100)
    world.elapsed = end


def _tick_of(job: Job) -> float:
    told = codec.decode(job.metadata or b"")["_schedule"]["tick"]
    return datetime.fromisoformat(told).timestamp() - BEGIN / SECOND


@pytest.fixture
def world(settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    settings.TIME_ZONE = "UTC"
    settings.TASKS = {
        **settings.TASKS,
        ALIAS: {
            "BACKEND": "mainspring.backends.memory.MemoryBackend",
            "QUEUES": [],
            "OPTIONS": {},
        },
    }
    return World(monkeypatch)


def schedule(name: str = "s", timing: Any = 10, task: Any = tasks.add, **more: Any) -> Schedule:
    """Return a schedule: every so many seconds, or by an expression."""
    of = Cron(timing) if isinstance(timing, str) else every_of(timing)
    arguments = codec.encode_call((1, 2), {}, 1000)
    return Schedule.of(Declaration(of, arguments, **more), task, name, "code")


# Ticking


def test_a_new_schedule_waits_for_its_next_tick(world: World) -> None:
    world.elapsed += 3 * SECOND
    hand = world.worker(schedule())
    assert 0 < hand.step() <= 5
    assert world.jobs == []
    hand.turn(8)
    assert world.ticks == [10]


def test_it_sleeps_until_the_very_tick(world: World) -> None:
    world.elapsed += 8 * SECOND
    assert 2 <= world.worker(schedule()).step() <= 2.05


def test_each_tick_is_enqueued_once_whoever_tries(world: World) -> None:
    several = [schedule(f"s{number}", 1) for number in range(5)]
    turn(world, 30.5, *[world.worker(*several) for _ in range(8)])
    assert sorted(world.ticks) == [second for second in range(1, 31) for _ in several]
    late = [job.enqueued_at - BEGIN - _tick_of(job) * SECOND for job in world.jobs]
    assert max(late) <= 0.06 * SECOND


def test_who_comes_second_only_looks(world: World) -> None:
    hands = [world.worker(schedule("s", 1)) for _ in range(8)]
    turn(world, 20.5, *hands)
    assert world.calls["tick"] == 20


def test_the_call_is_that_of_the_schedule(world: World) -> None:
    made = schedule("one", "0 * * * * *", queue_name="mail", priority=7)
    world.worker(made).turn(61)
    (job,) = world.jobs
    assert (job.task_path, job.queue_name, job.priority) == (tasks.add.module_path, "mail", 7)
    assert codec.decode_call(job.arguments) == ([1, 2], {})
    assert job.state == State.READY
    assert job.run_after is None
    assert job.available_at == job.enqueued_at
    told = {"name": "one", "tick": "2027-01-15T00:01:00+00:00"}
    assert codec.decode(job.metadata or b"") == {"_schedule": told}
    context = TaskContext(TaskResult.from_job(job))
    assert context.schedule == "one"
    assert context.tick == datetime(2027, 1, 15, 0, 1, tzinfo=UTC)
    assert context.metadata == {}


def test_a_call_that_a_caller_has_enqueued_has_no_schedule(world: World) -> None:
    job = world.backend.new_job(tasks.add.using(metadata={"a": 1}), (1,), {})
    context = TaskContext(TaskResult.from_job(job))
    assert context.schedule is None
    assert context.tick is None


def test_a_call_with_jitter_waits(world: World) -> None:
    world.worker(*[schedule(f"s{number}", jitter=60 * SECOND) for number in range(20)]).turn(10.5)
    waits = [job.available_at - BEGIN - 10 * SECOND for job in world.jobs if job.run_after]
    assert len(waits) >= 15
    assert all(0 < wait <= MINUTE for wait in waits)
    assert {job.state for job in world.jobs if job.run_after} == {State.SCHEDULED}


def test_task_enqueued_is_sent(world: World) -> None:
    heard: list[str] = []

    def receive(task_result: Any, **_: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(receive)
    try:
        world.worker(schedule()).turn(30.5)
    finally:
        task_enqueued.disconnect(receive)
    assert heard == [job.id for job in world.jobs]
    assert len(heard) == 3


def test_while_nothing_is_due_the_store_is_asked_nothing(world: World) -> None:
    hand = world.worker(*[schedule(f"s{number}", "@daily") for number in range(300)])
    hand.step()
    before = world.calls.copy()
    hand.turn(50)
    assert world.calls == before


def test_many_that_are_due_at_once_leave_others_their_turn(world: World) -> None:
    hand = world.worker(*[schedule(f"s{number}", "@hourly") for number in range(500)])
    hand.step()
    world.elapsed += HOUR + SECOND
    pauses = [hand.step() for _ in range(3)]
    assert pauses[:2] == [0, 0]
    assert len(world.jobs) == 500


# Where others were, or were not


def test_of_the_time_without_workers_the_newest_tick_is_made_up_for(world: World) -> None:
    world.worker(schedule()).step()
    world.elapsed += HOUR + 5 * SECOND
    world.worker(schedule()).turn(1)
    assert world.ticks == [3600]


def test_all_are_made_up_for_where_that_is_asked_for(world: World) -> None:
    every = schedule(timing=1, catch_up="all")
    world.worker(every).step()
    world.elapsed += 2500 * SECOND
    world.worker(every).turn(2)
    assert sorted(world.ticks) == list(range(1, 2503))


def test_none_are_made_up_for_where_that_is_asked_for(world: World) -> None:
    hourly = schedule(timing="@hourly", catch_up="none")
    world.worker(hourly).step()
    world.elapsed += 5 * HOUR + 2 * MINUTE
    hand = world.worker(hourly)
    hand.turn(10)
    assert world.ticks == []
    hand.turn(3600)
    assert world.ticks == [6 * 3600]


def test_a_tick_passes_while_the_last_call_is_unfinished(world: World) -> None:
    hand = world.worker(schedule(overlap="skip"))
    hand.turn(35)
    assert world.ticks == [10]
    world.finish_all()
    hand.turn(10)
    assert world.ticks == [10, 40]


def test_of_several_ticks_one_is_enqueued_where_calls_must_not_overlap(world: World) -> None:
    made = schedule(catch_up="all", overlap="skip")
    world.worker(made).step()
    world.elapsed += 65 * SECOND
    world.worker(made).turn(1)
    assert world.ticks == [60]


def test_a_paused_schedule_goes_on_with_the_next_tick(world: World) -> None:
    hand = world.worker(schedule(catch_up="all"))
    hand.turn(15)
    world.storage.pause_schedule("s")
    hand.turn(30)
    assert world.ticks == [10]
    world.storage.resume_schedule("s")
    hand.turn(10)
    assert world.ticks == [10, 50]


def test_what_was_taken_by_somebody_who_then_died_is_taken_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = world.worker(schedule())
    hand.turn(9)
    tick, refused = world.storage.tick, [True]
    monkeypatch.setattr(world.storage, "tick", lambda *args: {} if refused.pop() else tick(*args))
    refused.insert(0, False)
    hand.turn(1.5)
    assert world.ticks == [10]
    assert world.jobs[0].enqueued_at - BEGIN < 10.3 * SECOND


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_answer_that_is_lost_does_no_harm(
    world: World, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    hand = world.worker(schedule())
    hand.turn(9)
    tick = world.storage.tick

    def fail(*args: Any) -> None:
        if is_stored:
            tick(*args)
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(world.storage, "tick", fail)
        with pytest.raises(StoreUnavailable):
            hand.turn(2)
    hand.turn(10)
    assert world.ticks == [10, 20]


def test_a_store_that_is_away_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch, warned: Any
) -> None:
    hand = world.worker(schedule())

    def fail(*_: Any) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(world.storage, "read_schedules", fail)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                hand.step()
    assert warned("Schedules do not tick for now: gone") == 1
    hand.turn(11)
    assert world.ticks == [10]


# Code that differs


def test_a_changed_expression_takes_effect_at_once(world: World) -> None:
    world.worker(schedule(timing="@hourly")).turn(90)
    world.worker(schedule(timing="* * * * *"), loaded=SECOND).turn(60)
    assert world.ticks == [120]


def test_old_code_leaves_a_schedule_to_new_code(world: World) -> None:
    old = world.worker(schedule(timing=10))
    old.turn(5)
    new = world.worker(schedule(timing=30), loaded=SECOND)
    turn(world, 90, old, new)
    assert world.ticks == [30, 60, 90]
    # A process of the old code that is started anew, too: its code was loaded when it was.
    turn(world, 30, old, new, world.worker(schedule(timing=10)))
    assert world.ticks == [30, 60, 90, 120]


def test_old_code_takes_a_schedule_back_that_was_left(world: World) -> None:
    old = world.worker(schedule(timing=600))
    old.turn(5)
    world.worker(schedule(timing=700), loaded=SECOND).turn(5)
    old.turn(3 * 3600)
    assert world.ticks[0] >= 2 * 3600
    assert world.ticks[0] % 600 == 0
    assert len(world.ticks) >= 4


def test_what_nobody_declares_is_forgotten_in_a_day(world: World) -> None:
    world.worker(schedule("old", "@yearly"), schedule("kept", "@yearly")).step()
    hand = world.worker(schedule("kept", "@yearly"))
    hand.turn(22 * 3600)
    assert set(world.storage._schedules) == {"old", "kept"}
    hand.turn(5 * 3600)
    assert set(world.storage._schedules) == {"kept"}


def test_a_task_that_is_gone_is_told_once_and_others_go_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gone = schedule("gone")._replace(task_path="tests.unit.tasks.gone")
    with caplog.at_level(logging.ERROR, "mainspring"):
        world.worker(gone, schedule()).turn(35)
    assert world.ticks == [10, 20, 30]
    assert [record.getMessage() for record in caplog.records] == [
        "Schedule 'gone' cannot be enqueued by this worker"
    ]


# Clocks


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Return how many warnings have a text."""
    with caplog.at_level(logging.WARNING, "mainspring"):
        yield lambda text: sum(text in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_the_clock_of_a_machine_does_no_harm_and_is_told_once(
    world: World, warned: Any, ahead: int
) -> None:
    hand = world.worker(schedule(catch_up="all"))
    hand.turn(15)
    world.own_offset += ahead
    hand.turn(200)
    assert world.ticks == list(range(10, 220, 10))
    assert warned(f"is 3600 s {'ahead of' if ahead > 0 else 'behind'} that of") == 1
    world.own_offset -= ahead
    hand.turn(70)
    world.own_offset += ahead
    hand.turn(70)
    assert warned("is 3600 s") == 2
    assert len(world.ticks) == len(set(world.ticks)) == 35


def test_a_machine_that_is_off_by_less_is_not_told_of(world: World, warned: Any) -> None:
    world.own_offset += 4 * SECOND
    world.worker(schedule()).turn(100)
    assert warned("") == 0


def test_the_stores_clock_is_set_forward(world: World, warned: Any) -> None:
    hands = [world.worker(schedule()) for _ in range(3)]
    turn(world, 15, *hands)
    world.offset += HOUR
    turn(world, 120, *hands)
    ticks = [tick for tick in world.ticks if tick >= 3600]
    assert len(world.ticks) == len(set(world.ticks))
    assert ticks == list(range(round(ticks[0]), 3735, 10))
    assert warned("was set") == 3


def test_the_stores_clock_is_set_back(world: World, warned: Any) -> None:
    hands = [world.worker(schedule()) for _ in range(3)]
    world.elapsed += 2 * HOUR
    turn(world, 15, *hands)
    world.offset -= HOUR
    turn(world, 300, *hands)
    # It does not wait for an hour, and after a minute nobody goes by the old time.
    after = [job for job in world.jobs if _tick_of(job) < 7000]
    assert len(after) >= 23
    assert len({_tick_of(job) for job in after}) == len(after)
    assert len(world.jobs) <= 33
    assert warned("goes on from now") >= 1


def test_the_machine_was_asleep(world: World) -> None:
    hand = world.worker(schedule(timing="0 3 * * *"))
    hand.turn(60)
    world.offset += 8 * HOUR  # what it counts on by stood still
    world.own_offset += 8 * HOUR
    hand.turn(60)
    assert world.ticks == [3 * 3600]


def test_a_slow_answer_is_not_taken_for_the_time(world: World) -> None:
    store_clock = StoreClock(world.storage, lambda: world.elapsed)
    assert store_clock.now() == world.now
    answer = world.storage.clock

    def slow() -> int:
        moment: int = answer()
        world.elapsed += 10 * SECOND
        return moment

    world.storage.clock = slow
    assert not store_clock.ask()
    assert store_clock.now() == world.now
    world.offset += HOUR
    assert store_clock.ask()
    assert abs(store_clock.now() - world.now) <= 5 * SECOND


# Entries


@pytest.fixture
def exposing(settings: Any, world: World) -> World:
    """A store with entries of the task that is exposed as Sum."""
    config = world.backend.config
    object.__setattr__(config.options, "exposed_tasks", {"Sum": tasks.add.module_path})
    return world


def entry(name: str = "e", **more: Any) -> Entry:
    return Entry(name, "Sum", every=10, args="[1, 2]", changed_at=1)._replace(**more)


def test_entries_are_added_changed_and_removed(exposing: World) -> None:
    world, hand = exposing, exposing.worker(schedule("s", "@daily"))
    hand.turn(12)
    world.entries = [entry()]
    hand.turn(20)
    assert world.ticks == [20, 30]
    world.entries = [entry(every=20, changed_at=2)]
    hand.turn(30)
    assert world.ticks == [20, 30, 40, 60]
    world.entries = []
    hand.turn(60)
    assert len(world.ticks) == 4


def test_entries_that_are_there_at_the_start_are_caught_up_with(exposing: World) -> None:
    exposing.entries = [entry(catch_up="all")]
    exposing.worker().turn(15)
    exposing.elapsed += 20 * SECOND
    exposing.worker().turn(1)
    assert exposing.ticks == [10, 20, 30]


def test_one_that_is_enabled_again_waits_for_its_next_tick(exposing: World) -> None:
    exposing.entries = [entry(cron="@hourly", every=None)]
    hand = exposing.worker()
    hand.turn(3605)
    exposing.entries = []
    hand.turn(3 * 3600)
    exposing.entries = [entry(cron="@hourly", every=None, changed_at=2)]
    hand.turn(3590)
    assert exposing.ticks == [3600]
    hand.turn(10)
    assert exposing.ticks == [3600, 5 * 3600]


def test_entries_that_make_no_sense_are_told_and_left_out(exposing: World, warned: Any) -> None:
    exposing.entries = [entry("a", task=tasks.add.module_path), entry("s"), entry("b", args="[")]
    hand = exposing.worker(schedule("s", "@daily"))
    hand.turn(30)
    assert exposing.jobs == []
    assert warned("is left out: EXPOSED_TASKS") == 1
    assert warned("the code or the settings have a schedule of this name") == 1
    assert warned("args must be JSON") == 1
    exposing.entries = [entry("b")]
    hand.turn(20)
    assert len(exposing.jobs) >= 1


# The agenda


def test_the_agenda_knows_the_latest_moment_of_a_name() -> None:
    agenda = Agenda()
    assert agenda.next_at is None
    agenda.put("a", 10)
    agenda.put("b", 20)
    agenda.put("a", 30)
    assert agenda.next_at == 20
    agenda.put("b", None)
    agenda.put("never", None)
    assert agenda.next_at == 30
    agenda.put("a", 5)
    agenda.put("c", 6)
    agenda.put("d", 7)
    assert agenda.take_due(6, 1) == {"a": 5}
    assert agenda.take_due(6, 9) == {"c": 6}
    assert agenda.next_at == 7


@pytest.mark.parametrize("error", [StoreRefused("too large"), StoreUnavailable("refused")])
def test_a_tick_that_the_store_refuses_keeps_no_other_one(
    world: World, monkeypatch: pytest.MonkeyPatch, error: StoreUnavailable
) -> None:
    tick = world.storage.tick

    def refuse(ticks: Any, now: int) -> Any:
        if any(one.name == "refused" for one in ticks):
            raise error
        return tick(ticks, now)

    monkeypatch.setattr(world.storage, "tick", refuse)
    hand = world.worker(schedule("good"), schedule("refused"), schedule("last"))
    hand.step()
    world.elapsed += 11 * SECOND
    hand.step()
    assert len(world.jobs) == 2


def test_a_schedule_that_fails_keeps_no_other_one(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with it; it is looked at again later, and told of once."""
    step = Planned.step

    def fail(planned: Planned, state: Any, now: int) -> Any:
        if planned.name == "damaged":
            raise OverflowError("no such moment")
        return step(planned, state, now)

    monkeypatch.setattr(Planned, "step", fail)
    hand = world.worker(schedule("good"), schedule("damaged"))
    hand.turn(35)
    assert world.ticks == [10, 20, 30]
    assert caplog.text.count("Schedule damaged cannot be handled") == 1
