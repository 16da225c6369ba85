"""Merging: reduces the values of a map in a tree of merges. Decided here, stored elsewhere."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from mainspring.core import codec
from mainspring.core.chunks import MapRecord, Spec, merge_id, with_spec
from mainspring.core.errors import TaskError
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, State

FAN_IN: Final = 32
"""How many values one merge reduces to one: a row has a few kilobytes of them at most."""


class Step(NamedTuple):
    """What a map comes to next."""

    jobs: Sequence[Job]
    """To be enqueued: merges, or what follows at the end. A result that has failed already is
    FAILED, with its errors."""
    record: MapRecord
    """As it is then."""


def next_step(record: MapRecord, below: Sequence[tuple[str, int]], now: int) -> Step:
    """Return the next step of a map whose rows have all finished.

    ``below``: id and state of the rows that the next level merges, in their order: those of the map
    itself at level 0, else the merges of ``record.level``. Left out where nothing is merged.
    """
    spec = record.spec
    if spec.merge is None or record.result_id is not None:
        return _end(record, record.result_id, now)
    failed = [job_id for job_id, state in below if state != State.SUCCESSFUL]
    if failed and record.level:  # a merge itself, whose own error says more than we could
        return _end(record, failed[0], now)
    if failed and spec.on_error == "fail":
        return _failed(record, f'{len(failed)} calls failed, and on_error is "fail"', now)
    values = [job_id for job_id, state in below if state == State.SUCCESSFUL]
    if not values:
        return _failed(record, "there is no value to reduce", now)
    if record.level and len(values) == 1:
        return _end(record, values[0], now)
    level = record.level + 1
    groups = [values[start : start + FAN_IN] for start in range(0, len(values), FAN_IN)]
    jobs = [
        _merge(record, spec, merge_id(record.id, level, number), ids, now)
        for number, ids in enumerate(groups)
    ]
    return Step(jobs, record._replace(level=level))


def _merge(record: MapRecord, spec: Spec, job_id: str, ids: Sequence[str], now: int) -> Job:
    # With the options of a new task: those of the mapped one say nothing about the merging one.
    return Job(
        job_id,
        record.backend,
        spec.merge or "",
        record.queue_name,
        record.priority,
        now,
        State.READY,
        None,
        codec.encode((ids, {})),
        None,
        now,
        with_spec(None, spec._replace(is_merge=True)),
    )


def _failed(record: MapRecord, why: str, now: int) -> Step:
    spec = record.spec
    path = "mainspring.exceptions.MapFailed"
    error = TaskError(path, f"{path}: map {record.id} was not reduced: {why}\n")
    result = _merge(record, spec, merge_id(record.id, record.level + 1, 0), [], now)._replace(
        state=State.FAILED, finished_at=now, errors=codec.encode([error[:2]])
    )
    end = _end(record, result.id, now)
    return Step([result, *end.jobs], end.record)


def _end(record: MapRecord, result_id: str | None, now: int) -> Step:
    jobs = []
    if record.follow_up is not None:
        path, queue_name, priority = codec.decode(record.follow_up)
        arguments = codec.encode(([record.id], {}))
        jobs.append(
            Job(
                new_id(now),
                record.backend,
                path,
                queue_name,
                priority,
                now,
                State.READY,
                None,
                arguments,
                None,
                now,
            )
        )
    return Step(jobs, record._replace(result_id=result_id, finished_at=now))
