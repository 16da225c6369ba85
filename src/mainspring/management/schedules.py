"""``manage.py mainspring schedules``: lists schedules, runs one now, pauses and resumes one."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from django.core.management.base import CommandError
from django.utils.formats import date_format
from django.utils.timezone import is_aware, localtime

from mainspring.backends.base import MainspringBackend
from mainspring.backends.scheduled_calls import ScheduledCalls
from mainspring.core import clock
from mainspring.core.entries import NotAnEntry, schedule_of
from mainspring.core.jobs import State
from mainspring.core.schedule_states import ScheduleState
from mainspring.core.schedules import Schedule, declared_schedules
from mainspring.core.settings import setting

_HEAD = ("NAME", "TASK", "WHEN", "ZONE", "LAST TICK", "LAST RESULT", "NEXT TICK")
_NONE = "-"


class _Row(NamedTuple):
    name: str
    task: str
    when: str
    zone: str
    last_tick: str
    last_result: str
    next_tick: str


class Schedules:
    """Those of one backend: of the code, the settings, and the entries that are enabled."""

    def __init__(self, backend: MainspringBackend) -> None:
        """Find them; the tasks are imported."""
        self._backend = backend
        self._storage = backend.storage
        self.problems: list[str] = []
        """What is left out, and why: a sentence each."""
        options = backend.config.options
        found = declared_schedules(backend.alias, options, self.problems)
        self._known = {one.name: one for one in found}
        for entry in self._storage.read_entries():
            try:
                schedule = schedule_of(entry, backend.alias, options)
            except NotAnEntry as error:
                self.problems.append(f"The schedule {entry.name!r} that was added: {error}")
                continue
            if self._known.setdefault(entry.name, schedule) is not schedule:
                self.problems.append(
                    f"The schedule {entry.name!r} that was added: the code or the settings have "
                    "one of this name."
                )

    def table(self) -> list[str]:
        """Return a line for each, below a heading."""
        states = {state.name: state for state in self._storage.list_schedules()}
        if not self._known:
            return [f"TASKS[{self._backend.alias!r}] has no schedules."]
        now = self._storage.clock()
        rows = [
            _row(schedule, states.get(name), now) for name, schedule in sorted(self._known.items())
        ]
        return [*_aligned([_HEAD, *rows]), f"Times are those of {setting('TIME_ZONE')}."]

    def enqueue(self, name: str) -> str:
        """Enqueue a call of a schedule, beside its ticks; say so."""
        schedule = self._find(name)
        result = ScheduledCalls(self._backend, schedule).enqueue_now()
        return f"{schedule.task_path} is enqueued as {result.id}."

    def pause(self, name: str) -> str:
        """Have a schedule not tick; say so."""
        self._find(name)
        if self._storage.pause_schedule(name):
            return f"{self._named(name)} is paused: it does not tick until it is resumed."
        return f"{self._named(name)} was paused already."

    def resume(self, name: str) -> str:
        """Have a schedule tick again; say so."""
        schedule = self._find(name)
        if not self._storage.resume_schedule(name):
            return f"{self._named(name)} was not paused."
        following = schedule.timing.next_after(self._storage.clock())
        when = "never" if following is None else _moment(following)
        return f"{self._named(name)} is resumed; its next tick: {when}."

    def _named(self, name: str) -> str:
        return f"Schedule {name!r} of TASKS[{self._backend.alias!r}]"

    def _find(self, name: str) -> Schedule:
        if (schedule := self._known.get(name)) is not None:
            return schedule
        close = get_close_matches(name, self._known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "'mainspring schedules' lists them."
        raise CommandError(f"TASKS[{self._backend.alias!r}] has no schedule {name!r}: {hint}")


def _row(schedule: Schedule, state: ScheduleState | None, now: int) -> _Row:
    last, result, start = _NONE, _NONE, now
    if state is not None and state.last_job_id is not None:
        last = _moment(state.last_tick)
        result = _NONE if state.last_state is None else State(state.last_state).name.lower()
    if state is not None and state.fingerprint == schedule.fingerprint:
        start = max(now, state.last_tick)
    following = schedule.timing.next_after(start)
    next_tick = _NONE if following is None else _moment(following)
    return _Row(
        schedule.name,
        schedule.task_path,
        schedule.timing.describe(),
        schedule.timing.zone or _NONE,
        last,
        result,
        "paused" if state is not None and state.is_paused else next_tick,
    )


def _moment(moment: int) -> str:
    value = clock.to_datetime(moment)
    return date_format(localtime(value) if is_aware(value) else value, "Y-m-d H:i:s")


def _aligned(rows: Sequence[Iterable[str]]) -> list[str]:
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
