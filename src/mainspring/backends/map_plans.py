"""Planning a map: whether a task can be mapped, and what all rows of the map have in common."""

from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from django.tasks.exceptions import InvalidTask

from mainspring.backends.rules import Carried, gate_for
from mainspring.core import clock, codec
from mainspring.core.chunks import Kind, MapRecord, Spec, new_map_id, with_spec
from mainspring.core.gates import Gate
from mainspring.core.jobs import Job, State
from mainspring.core.map_results import MapResult
from mainspring.core.tasks import Task

if TYPE_CHECKING:
    from mainspring.backends.base import MainspringBackend


class Wanted(TypedDict):
    """What the caller of a map wants besides the calls. See :meth:`Task.map`."""

    is_lists: bool
    reduce: Task[..., Any] | None
    on_error: Literal["fail", "skip"]
    then: Task[..., Any] | None


class Plan(NamedTuple):
    """What a map is going to be."""

    record: MapRecord
    row: Job
    """One like its rows, without id, arguments and moments."""
    is_lists: bool
    gate: Gate | None
    """What its calls have to pass."""
    unique: Task[..., Any] | None = None
    """The task, where it is unique."""

    @property
    def handle(self) -> MapResult[Any]:
        """The handle on it."""
        record = self.record
        return MapResult(record.id, record.backend, record.task_path, record.spec.merge is not None)


def plan(backend: "MainspringBackend", task: Task[..., Any], wanted: Wanted) -> Plan:
    """Return what a map of ``task`` is going to be.

    Raises ``InvalidTask`` for tasks that cannot be mapped, and ``TypeError`` or ``ValueError`` for
    what else is wanted.
    """
    _validate(backend, task)
    carried = _carried_by(backend, task)
    merge, then = wanted["reduce"], wanted["then"]
    if merge is not None:
        _validate_merge(backend, merge)
    if then is not None:
        _validate_follow_up(backend, then)
    if wanted["on_error"] not in {"fail", "skip"}:
        raise ValueError(f'on_error must be "fail" or "skip", not {wanted["on_error"]!r}.')
    now = clock.now()
    merge_path = None if merge is None else merge.module_path
    kind = _kind_of(task, carried, wanted)
    spec = Spec(new_map_id(now), kind, merge_path, wanted["on_error"])
    row = _first_row(backend.alias, task, carried, spec, now)
    record = MapRecord(
        spec.map_id,
        row.backend,
        row.task_path,
        row.options or b"",
        row.queue_name,
        row.priority,
        now,
        follow_up=None if then is None else _encoded_follow_up(then),
    )
    is_unique = bool(getattr(task, "unique", False))
    return Plan(record, row, wanted["is_lists"], carried.gate, task if is_unique else None)


def _first_row(alias: str, task: Task[..., Any], carried: Carried, spec: Spec, now: int) -> Job:
    return Job(
        "",
        alias,
        task.module_path,
        task.queue_name,
        int(task.priority),
        now,
        State.READY,
        None,
        b"",
        None if task.run_after is None else clock.to_moment(task.run_after),
        now,
        with_spec(carried.options, spec),
        carried.metadata,
    )


def _encoded_follow_up(then: Task[..., Any]) -> bytes:
    return codec.encode([then.module_path, then.queue_name, int(then.priority)])


def _validate(backend: "MainspringBackend", task: Task[..., Any]) -> None:
    if backend.config.errors:
        backend.config.require_valid()
    if getattr(task, "_valid_by", None) is not backend.config:
        backend.validate_task(task)


def _carried_by(backend: "MainspringBackend", task: Task[..., Any]) -> Carried:
    # A task of Django's own carries nothing, and has no limits but those of its queue.
    carried: Carried | None = getattr(task, "_carried", None)
    return carried or Carried(gate=gate_for(task, backend.config.options))


def _validate_merge(backend: "MainspringBackend", merge: Any) -> None:
    _validate_helper(backend, merge, "reduce", "two values", 2)
    if _is_special(merge) or merge.concurrency is not None or merge.rate is not None:
        raise InvalidTask(
            f"reduce={merge.name} must be a plain sync task, without context, limits and atomic: "
            "workers call it for the values of a row in between."
        )


def _validate_follow_up(backend: "MainspringBackend", then: Any) -> None:
    _validate_helper(backend, then, "then", "the id of the map", 1)
    if then.unique or then.run_after is not None or _carried_by(backend, then) != Carried():
        raise InvalidTask(
            f"then={then.name} cannot be unique, have limits, metadata or run_after, nor fields "
            "that differ from its declaration, but for queue and priority. Let it enqueue that one."
        )


def _validate_helper(
    backend: "MainspringBackend", task: Any, name: str, of_what: str, number: int
) -> None:
    # One of the tasks that work on the map's outcome.
    if not isinstance(task, Task):
        raise TypeError(f"{name} must be a task of {of_what}, not {task!r}.")
    if task.backend != backend.alias:
        raise ValueError(
            f"{name} must be a task of the map's own backend, {backend.alias!r}, not of "
            f"{task.backend!r}."
        )
    _validate(backend, task)
    context = [None] if task.takes_context else []
    try:
        signature(task.func).bind(*context, *[None] * number)
    except TypeError as error:
        raise TypeError(f"{name} must be a task of {of_what}; of {task.name}: {error}.") from None


def _kind_of(task: Task[..., Any], carried: Carried, wanted: Wanted) -> Kind:
    is_plain = carried.gate is None and carried.metadata is None
    if _is_special(task) or not is_plain or getattr(task, "unique", False):
        return "calls"
    return "lists" if wanted["is_lists"] else "items"


def _is_special(task: Task[..., Any]) -> bool:
    # Whether there is more to a call than calling the function.
    return iscoroutinefunction(task.func) or task.takes_context or getattr(task, "atomic", False)
