"""The rows of a map as callers see them: calls, values and failures."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from mainspring.core import codec
from mainspring.core.chunks import Spec, call_id, call_in, first_of, items_in, spec_of, values_in
from mainspring.core.errors import errors_in
from mainspring.core.jobs import Job, State
from mainspring.core.results import TaskResult
from mainspring.exceptions import Unreadable


class Row(NamedTuple):
    """One row of a map, and what it says about itself."""

    job: Job
    spec: Spec

    @property
    def first(self) -> int:
        """The call that it begins with."""
        return first_of(self.job.id)

    def items(self) -> list[Any]:
        """Return what each of its calls is called with; without saying it for a row of one call."""
        if self.spec.kind == "calls":
            return [None]
        try:
            return items_in(self.job.arguments)
        except Unreadable:
            if self.job.state == State.SUCCESSFUL:
                raise
            return [None]  # the calls failed together: the first one stands for all

    def values(self) -> list[Any]:
        """Return what its calls have returned."""
        # How many there are is looked up only where the row does not say.
        return values_in(self.job, self.spec, 0) or [None] * len(self.items())

    def results(self) -> Iterator[TaskResult[Any]]:
        """Return the result of each of its calls."""
        items = self.items()
        values = self.values() if self.job.state == State.SUCCESSFUL else None
        first = TaskResult[Any].from_job(call_in(self.job, self.spec, 0, items, values))
        yield first
        # What they have in common is decoded once: 2 µs a call instead of 8.
        is_list, index = self.spec.kind == "lists", self.first
        for offset in range(1, len(items)):
            args = items[offset] if is_list else (items[offset],)
            value = None if values is None else values[offset]
            yield first._replace(
                id=call_id(self.spec.map_id, index + offset),
                arguments=codec.encode((args, {})),
                returned=None if value is None else codec.encode(value),
            )

    def result_at(self, offset: int, items: list[Any]) -> TaskResult[Any]:
        """Return the result of one of its calls; ``items`` are the row's."""
        values = self.values() if self.job.state == State.SUCCESSFUL else None
        return TaskResult.from_job(call_in(self.job, self.spec, offset, items, values))

    @property
    def failure(self) -> str:
        """Why its calls failed, in a line."""
        which = call_id(self.spec.map_id, self.first)
        errors = () if self.job.errors is None else errors_in(self.job.errors)
        if not errors:
            return f"Call {which} failed."
        path, text, *_ = errors[-1]
        lines = text.strip().splitlines()
        return f"Call {which} failed: {lines[-1] if lines else path}"


def as_rows(jobs: Iterable[Job], find_spec: Callable[[], Spec] | None = None) -> list[Row]:
    """Return the jobs that are rows of maps, as rows.

    If the options of a row cannot be read, use the spec that ``find_spec`` returns. Without it,
    raises ``Unreadable``.
    """
    rows = []
    for job in jobs:
        try:
            spec = spec_of(job.options)
        except Unreadable:
            if find_spec is None:
                raise
            spec = find_spec()
        if spec is not None:
            rows.append(Row(job, spec))
    return rows
