"""Scheduler: enqueues the calls of schedules at their ticks."""

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from mainspring import signals
from mainspring.backends.base import MainspringBackend
from mainspring.core.agenda import Agenda
from mainspring.core.clock import SECOND
from mainspring.core.entries import Entry, NotAnEntry, schedule_of
from mainspring.core.jobs import Job
from mainspring.core.results import TaskResult
from mainspring.core.schedule_states import FORGOTTEN_AFTER, ScheduleState, Tick
from mainspring.core.schedules import Schedule
from mainspring.exceptions import StoreRefused, StoreUnavailable
from mainspring.maintenance.apart import Apart
from mainspring.maintenance.loop import Loop
from mainspring.maintenance.planned import LOADED_AT, Planned
from mainspring.maintenance.store_clock import StoreClock

logger = logging.getLogger("mainspring")

_MOST_SCHEDULES: Final = 200  # in one step: other loops have their turn in between
_MOST_CALLS: Final = 500  # in one transaction
_LOOK_AT_ENTRIES: Final = 5 * SECOND
_UPKEEP: Final = 3600 * SECOND
_AFTER_FAILURE: Final = 10 * SECOND  # of a single schedule
_AGAIN: Final = SECOND // 10  # after which it looks whether somebody else has done it
_LONGEST_DELAY: Final = SECOND // 20
_ODD: Final = 5 * SECOND  # later than this, or so far ahead: what time is it?
_SET_BACK: Final = 60 * SECOND  # if a tick lies further ahead, the store's clock was set back


class Scheduler(Loop):
    """Sleeps until the next tick of any schedule; asks the store nothing before.

    All workers try each tick, and the store lets one of them have it. Those that came late wait for
    a few hundredths of a second with the next ones, so that mostly they have but to look. All go by
    the store's clock.
    """

    def __init__(
        self,
        backend: MainspringBackend,
        load: Callable[[], Iterable[Schedule]],
        store_clock: StoreClock | None = None,
    ) -> None:
        """``load`` returns the schedules of the code and the settings; it is called once."""
        self._backend = backend
        self._storage = backend.storage
        self._load = load
        self._clock = store_clock or StoreClock(self._storage)
        self._agenda = Agenda()
        self._planned: dict[str, Planned] = {}
        self._entries: dict[str, Entry] = {}
        self._mark: object = None
        self._declared: Sequence[Schedule] | None = None
        self._is_loaded = self._has_failed = False
        self._look_at = 0
        self._upkeep_at = 0
        self._delay = self._new_delay()
        self._each = Apart("Schedule")

    def step(self, now: int) -> float:  # noqa: ARG002 # it goes by the store's clock
        """Enqueue what is due; return how many seconds are left until the next tick."""
        if not self._is_loaded:
            self._try_to_load()
        elif self._clock.is_due and self._clock.ask():
            self._plan_anew()
        if self._clock.elapsed >= self._look_at:
            self._look_at_entries()
        if self._clock.elapsed >= self._upkeep_at:
            self._keep_up()
        if due := self._agenda.take_due(self._clock.now(), _MOST_SCHEDULES):
            try:
                self._tick(due)
            except BaseException:
                for name, moment in due.items():  # it is not forgotten
                    self._agenda.put(name, moment)
                raise
        return self._pause()

    def _pause(self) -> float:
        ends = [self._look_at - self._clock.elapsed]
        if (next_at := self._agenda.next_at) is not None:
            ends.append(next_at - self._clock.now())
        return max(min(ends) / SECOND, 0.0)

    # What there is

    def _try_to_load(self) -> None:
        try:
            self._load_all()
        except StoreUnavailable as error:  # where only our tables are missing, nobody else meets it
            if not self._has_failed:
                logger.warning("Schedules do not tick for now: %s", error)
            self._has_failed = True
            raise

    def _load_all(self) -> None:
        now = self._clock.now()
        declared_at = now - self._clock.elapsed + LOADED_AT
        if self._declared is None:
            self._declared = list(self._load())
        for schedule in self._declared:
            self._planned[schedule.name] = Planned(self._backend, schedule, declared_at)
        self._mark = self._storage.entries_mark()
        self._add_entries(self._storage.read_entries())
        self._join(self._planned)
        self._is_loaded = True
        self._look_at = self._clock.elapsed + _LOOK_AT_ENTRIES
        self._upkeep_at = self._clock.elapsed + self._until_upkeep()
        if self._planned:
            logger.debug(
                "%d schedules", len(self._planned), extra={"schedules": len(self._planned)}
            )

    def _look_at_entries(self) -> None:
        self._look_at = self._clock.elapsed + _LOOK_AT_ENTRIES
        mark = self._storage.entries_mark()
        if mark == self._mark:
            return
        for name in self._add_entries(self._storage.read_entries()):
            self._agenda.put(name, self._clock.now())
        self._mark = mark

    def _add_entries(self, entries: Sequence[Entry]) -> list[str]:
        # Return the names of those that are new or have changed; forgets those that are gone.
        known, self._entries = self._entries, {one.name: one for one in entries}
        for name in known:
            if self._entries.get(name) != known[name] and self._is_of_entry(name):
                del self._planned[name]
                self._agenda.put(name, None)
        changed = [one for one in entries if known.get(one.name) != one]
        return [one.name for one in changed if self._add_entry(one)]

    def _is_of_entry(self, name: str) -> bool:
        planned = self._planned.get(name)
        return planned is not None and planned.schedule.source == "database"

    def _add_entry(self, entry: Entry) -> bool:
        try:
            schedule = self._schedule_of(entry)
        except Exception as error:  # noqa: BLE001 # NotAnEntry, or errors of damaged fields
            logger.warning(
                "Schedule %r, which was added by hand, is left out: %s",
                entry.name,
                error,
                extra={"schedule": entry.name},
            )
            return False
        # Whatever is changed of it, it starts anew: it may have been off for a month.
        at = entry.changed_at
        self._planned[entry.name] = Planned(self._backend, schedule, at, version=at)
        return True

    def _schedule_of(self, entry: Entry) -> Schedule:
        if entry.name in self._planned:
            raise NotAnEntry("name", "the code or the settings have a schedule of this name")
        return schedule_of(entry, self._backend.alias, self._backend.config.options)

    def _join(self, names: Iterable[str]) -> None:
        # Begin what is new or declared anew, and plan all of them.
        now, known = self._clock.now(), sorted(names)
        states = self._storage.read_schedules(known)
        self._begin(known, states, now)
        for name in known:
            self._each.do(name, partial(self._plan_first, name, states.get(name), now))

    def _plan_first(self, name: str, state: ScheduleState | None, now: int) -> None:
        planned = self._planned[name]
        is_ours = state is not None and state.fingerprint == planned.fingerprint
        last = state.last_tick if state is not None and is_ours else now
        self._plan(name, planned.next_after(min(last, now)))

    def _begin(self, names: Iterable[str], states: Mapping[str, ScheduleState], now: int) -> None:
        # Begin those of some schedules that are new or declared anew.
        starts = []
        for name in names:
            planned, state = self._planned[name], states.get(name)
            if state is None:
                starts.append(planned.start(now))
            elif state.gives_way_to(planned.fingerprint, planned.declared_at, now):
                start = planned.start(now)
                latest = max(start.declared_at, state.declared_at)
                starts.append(start._replace(declared_at=latest))
        if starts:
            self._storage.start_schedules(starts)

    def _plan(self, name: str, tick: int | None) -> None:
        self._agenda.put(name, None if tick is None else tick + self._delay)

    def _plan_anew(self) -> None:
        now = self._clock.now()
        logger.warning("The clock of %s was set", self._storage.describe())
        for name in self._planned:
            self._agenda.put(name, now)

    # What is due

    def _tick(self, due: Mapping[str, int]) -> None:
        now = self._clock.now()
        states = self._storage.read_schedules(list(due))
        if self._is_odd(due, states, now) and self._clock.ask():
            self._plan_anew()
            return
        self._begin(due, states, now)
        has_won, calls = False, 0
        steps: list[Tick] = []
        for name in due:
            if (step := self._step_apart(name, states.get(name), now)) is not None:
                steps.append(step)
                calls += len(step.calls)
                if calls >= _MOST_CALLS:
                    has_won |= self._take(steps, now)
                    steps, calls = [], 0
        has_won |= self._take(steps, now)
        self._delay = 0 if has_won else self._new_delay()

    def _is_odd(
        self, due: Mapping[str, int], states: Mapping[str, ScheduleState], now: int
    ) -> bool:
        # Whether it looks as if a clock was set, and the store was not asked just now.
        return self._clock.age > SECOND and (
            min(due.values()) < now - _ODD
            or any(state.last_tick > now + _ODD for state in states.values())
        )

    def _step_apart(self, name: str, state: ScheduleState | None, now: int) -> Tick | None:
        try:
            return self._step(name, state, now)
        except Exception as error:  # noqa: BLE001 # retried after a while
            self._each.failed(name, error)
            self._agenda.put(name, now + _AFTER_FAILURE)
            return None

    def _step(self, name: str, state: ScheduleState | None, now: int) -> Tick | None:
        # Return the next step of a schedule; plans those that have none.
        planned = self._planned[name]
        if state is None or state.fingerprint != planned.fingerprint or state.is_paused:
            self._plan(name, planned.next_after(now))
            return None
        if state.last_tick > now + _SET_BACK:
            logger.warning(
                "Schedule %r has come further than the clock of the store; it goes on from now",
                name,
                extra={"schedule": name},
            )
            return Tick(name, planned.fingerprint, state.last_tick, now)
        step = planned.step(state, now)
        if step is None:
            self._plan(name, planned.next_after(max(state.last_tick, now)))
        return step

    def _take(self, steps: Sequence[Tick], now: int) -> bool:
        # Whether any of them was this worker's to take.
        if not steps:
            return False
        try:
            done = self._storage.tick(steps, now)
        except StoreUnavailable as error:
            if len(steps) > 1:
                return self._take_one_by_one(steps, now)
            if not isinstance(error, StoreRefused):
                raise
            self._each.failed(steps[0].name, error)
            self._agenda.put(steps[0].name, now + _AFTER_FAILURE)
            return False
        for step in steps:
            planned = self._planned[step.name]
            if step.name in done:
                self._plan(step.name, planned.next_after(step.new_last))
                self._tell(step, done[step.name])
            else:
                self._agenda.put(step.name, now + _AGAIN)
        return bool(done)

    def _take_one_by_one(self, steps: Sequence[Tick], now: int) -> bool:
        # The store may have refused all of them because of one.
        has_won, failures = False, list[StoreUnavailable]()
        for step in steps:
            try:
                has_won |= self._take([step], now)
            except StoreUnavailable as error:
                failures.append(error)
                self._agenda.put(step.name, now + _AFTER_FAILURE)
        if len(failures) == len(steps):
            raise failures[0]
        return has_won

    def _tell(self, step: Tick, jobs: Sequence[Job]) -> None:
        if signals.is_heard(signals.task_enqueued):
            for (made, _), job in zip(step.calls, jobs, strict=True):
                if made.id == job.id:  # no equal call stands for it
                    result: TaskResult[object] = TaskResult.from_job(job)
                    signals.task_enqueued.send_robust(type(self._backend), task_result=result)

    @staticmethod
    def _new_delay() -> int:
        return random.randint(_LONGEST_DELAY // 5, _LONGEST_DELAY)  # noqa: S311 # so that not all come at once

    # Once an hour

    def _keep_up(self) -> None:
        self._upkeep_at = self._clock.elapsed + self._until_upkeep()
        now, states = self._clock.now(), self._storage.read_schedules(list(self._planned))
        ours = [
            name
            for name, state in states.items()
            if state.fingerprint == self._planned[name].fingerprint
        ]
        self._storage.keep_schedules(ours, now, now - _UPKEEP // 2)
        self._begin(self._planned, states, now)
        if forgotten := self._storage.forget_schedules(now - FORGOTTEN_AFTER):
            logger.info("Forgot %d schedules that nobody declares", forgotten)

    @staticmethod
    def _until_upkeep() -> int:
        return round(_UPKEEP * random.uniform(0.5, 1.0))  # noqa: S311 # likewise
