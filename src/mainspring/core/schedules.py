"""Schedules: which calls are enqueued by themselves, and when."""

from hashlib import blake2b
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from django.tasks.exceptions import InvalidTask

from mainspring.core import codec, registry
from mainspring.core.clock import SECOND
from mainspring.core.crons import Timing
from mainspring.core.declarations import CatchUp, Declaration, Overlap, names_of
from mainspring.exceptions import TaskNotFound

if TYPE_CHECKING:
    from mainspring.core.tasks import Task

type Source = Literal["code", "settings", "database"]

MOST_CAUGHT_UP: Final = 1000
"""How many ticks ``catch_up="all"`` takes at a time."""
GRACE: Final = 60 * SECOND
"""How late a tick of ``catch_up="none"`` may be."""


class Schedule(NamedTuple):
    """A task that is enqueued at certain moments, its ticks. Durations are in microseconds."""

    name: str
    """Unique for a backend alias; at most 255 characters."""
    task_path: str
    timing: Timing
    arguments: bytes
    """JSON: see codec.encode_call."""
    queue_name: str
    priority: int
    jitter: int
    """The most that a call is put off: see :func:`run_at`."""
    catch_up: CatchUp
    """Which of the ticks are made up for that passed while no worker was there."""
    overlap: Overlap
    """Whether a tick is passed over while the last call is unfinished: ``skip``."""
    source: Source

    @property
    def fingerprint(self) -> str:
        """A short string that identifies the timing. When it changes, the schedule restarts."""
        return f"{self.timing.fingerprint}-{self.jitter:x}"

    @classmethod
    def of(
        cls, declaration: Declaration, task: "Task[..., Any]", name: str, source: Source
    ) -> "Schedule":
        """Return the schedule of ``task`` that a declaration asks for."""
        queue_name, priority = declaration.queue_name, declaration.priority
        return cls(
            name,
            task.module_path,
            declaration.timing,
            declaration.arguments,
            task.queue_name if queue_name is None else queue_name,
            int(task.priority if priority is None else priority),
            declaration.jitter,
            declaration.catch_up,
            declaration.overlap,
            source,
        )


def run_at(schedule: Schedule, tick: int) -> int:
    """Return when the call of a tick is to run: the tick, put off by at most the jitter.

    By how much is the same on all machines: the name and the tick decide it.
    """
    if not schedule.jitter:
        return tick
    digest = blake2b(f"{schedule.name}\n{tick}".encode(errors="surrogatepass"), digest_size=8)
    return tick + int.from_bytes(digest.digest()) % (schedule.jitter + 1)


def ticks_due(schedule: Schedule, last: int, now: int) -> list[int]:
    """Return the ticks after ``last`` and up to ``now`` that are to be enqueued, in order.

    By ``catch_up``: the newest alone; the newest alone where it is less than a minute old; or all,
    the oldest thousand first. None are due where ``last`` is later than ``now``.
    """
    tick = schedule.timing.next_after(last)
    if tick is None or tick > now:
        return []
    if schedule.catch_up == "all":
        return _all_up_to(schedule.timing, tick, now)
    tick = _newest_up_to(schedule.timing, tick, now)
    if schedule.catch_up == "none" and now - tick >= GRACE:
        return []
    return [tick]


def newest_tick(schedule: Schedule, last: int, now: int) -> int | None:
    """Return the newest tick after ``last`` and up to ``now``, whether or not it is enqueued."""
    tick = schedule.timing.next_after(last)
    return None if tick is None or tick > now else _newest_up_to(schedule.timing, tick, now)


def _all_up_to(timing: Timing, tick: int | None, now: int) -> list[int]:
    ticks: list[int] = []
    while tick is not None and tick <= now and len(ticks) < MOST_CAUGHT_UP:
        ticks.append(tick)
        tick = timing.next_after(tick)
    return ticks


def _newest_up_to(timing: Timing, tick: int, now: int) -> int:
    # By halving the time in which it may be: a year of seconds takes 25 steps.
    following = timing.next_after(tick)
    if following is None or following > now:
        return tick
    tick, end = following, now
    while end - tick >= SECOND:  # no two ticks are closer
        middle = (tick + end) // 2
        following = timing.next_after(middle)
        if following is None or following > now:
            end = middle
        else:
            tick = following
    return tick


def schedules_of(task: "Task[..., Any]") -> tuple[Schedule, ...]:
    """Return the schedules that decorators have put on a task, the one next to it first."""
    names = names_of(task.module_path, task.schedules)
    return tuple(
        Schedule.of(declaration, task, name, "code")
        for declaration, name in zip(task.schedules, names, strict=True)
    )


def require_fit(declaration: Declaration, task: "Task[..., Any]") -> None:
    """Raise ``InvalidTask`` or ``TypeError`` where a schedule and its task do not fit.

    Its queue and priority must be the backend's, and its arguments those of the function: of one
    that other decorators have changed, it is not known what it takes.
    """
    task.using(queue_name=declaration.queue_name, priority=declaration.priority)
    if hasattr(task.func, "__wrapped__"):
        return
    args, kwargs = codec.decode_call(declaration.arguments)
    context = (None,) if task.takes_context else ()
    try:
        signature(task.func).bind(*context, *args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"args and kwargs are not the arguments of {task.module_path}: {error}."
        ) from None


def declared_schedules(
    alias: str, options: Any, problems: list[str] | None = None
) -> list[Schedule]:
    """Return the schedules of a backend: of its tasks that are imported, and of its settings.

    ``options`` are those of its Config. Those schedules are left out whose task is not found, is
    another backend's or does not fit, and those of a name that is taken; ``problems`` is given a
    sentence for each.
    """
    found: dict[str, Schedule] = {}
    wrong = [] if problems is None else problems
    for task in registry.tasks():
        if task.schedules and task.backend == alias:
            for schedule in schedules_of(task):
                _add(schedule, found, wrong)
    for declaration in options.schedules:
        where = f"TASKS[{alias!r}]['OPTIONS']['SCHEDULES'][{declaration.name!r}]"
        try:
            task = registry.resolve(declaration.task_path)
        except TaskNotFound as error:
            wrong.append(f"{where}: {error}")
            continue
        if task.backend != alias:
            wrong.append(f"{where}: {task.module_path} is a task of the backend {task.backend!r}.")
            continue
        try:
            require_fit(declaration, task)
        except (InvalidTask, TypeError) as error:
            wrong.append(f"{where}: {error}")
            continue
        _add(Schedule.of(declaration, task, declaration.name, "settings"), found, wrong)
    return list(found.values())


def _add(schedule: Schedule, found: dict[str, Schedule], wrong: list[str]) -> None:
    if (known := found.setdefault(schedule.name, schedule)) is not schedule:
        wrong.append(
            f"Two schedules are named {schedule.name!r}: one of {known.task_path} and one of "
            f"{schedule.task_path}, which is left out."
        )
