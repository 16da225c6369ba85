"""Maps for tests of the storage verbs; their calls are numbers, each the argument of its own."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, count
from typing import Any

from mainspring.backends.storage import Storage
from mainspring.core import codec, outcomes
from mainspring.core.chunks import (
    Division,
    MapRecord,
    Spec,
    first_of,
    is_merge,
    new_map_id,
    part_of,
    row_id,
    with_spec,
)
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, Outcome, State, Worker
from tests.contract.jobs import ALL, START, TASK, job

MERGE = "tests.contract.tasks.add"

_maps = count()


def opened(
    storage: Storage, *, follow_up: bytes | None = None, backend: str = "default", **spec: Any
) -> MapRecord:
    """Store the record of a new map and return it."""
    moment = START + next(_maps)
    map_id = new_map_id(moment)
    options = with_spec(None, Spec(**{"map_id": map_id, "kind": "items", **spec}))
    record = MapRecord(
        map_id, backend, TASK, options, "default", 0, moment, 0, False, follow_up, 0, None, None
    )
    storage.open_map(record)
    return record


def row(record: MapRecord, first: int, number: int, **columns: Any) -> Job:
    """Return a row of so many calls."""
    values = {
        "id": row_id(record.id, first),
        "backend": record.backend,
        "options": record.options,
        "arguments": items(first, number),
        **columns,
    }
    return job(record.enqueued_at - START, **values)


def items(first: int, number: int) -> bytes:
    """Return the arguments of a row."""
    return codec.encode(list(range(first, first + number)))


def grown(storage: Storage, record: MapRecord, *sizes: int, **columns: Any) -> list[Job]:
    """Add rows of so many calls each to a map that has none, and return them."""
    firsts = accumulate(sizes[:-1], initial=0)
    rows = [row(record, first, size, **columns) for first, size in zip(firsts, sizes, strict=True)]
    storage.add_rows(record.id, rows, sum(sizes))
    return rows


def mapped(storage: Storage, *sizes: int, **spec: Any) -> tuple[MapRecord, list[Job]]:
    """Store a map of rows of so many calls each, close it, and return it and its rows."""
    record = opened(storage, **spec)
    rows = grown(storage, record, *sizes) if sizes else []
    storage.close_map(record.id)
    return record, rows


def claimed_rows(storage: Storage, worker: Worker, limit: int = 10_000) -> list[Job]:
    """Claim what is ready, and return it in the order of its ids."""
    return sorted(storage.claim(worker, ALL, limit))


def returned(taken: Job, by: Worker, at: int = SECOND) -> Outcome:
    """Return the outcome of a row or merge whose task returned."""
    return outcomes.succeeded(taken, by.id, START + at - SECOND, START + at, b"[[1],1]")


def settle_all(storage: Storage, worker: Worker) -> int:
    """Run all that is ready and return how many jobs there were."""
    taken = claimed_rows(storage, worker)
    assert storage.settle(worker, [returned(one, worker) for one in taken]) == []
    return len(taken)


def split(taken: Job, *firsts: int, end: int) -> tuple[Job, ...]:
    """Return the parts of a claimed row of calls up to ``end`` that begin with these calls."""
    return tuple(
        part_of(taken, first, items(first, last - first))
        for first, last in zip(firsts, (*firsts[1:], end), strict=True)
    )


def division(taken: Job, parts: Sequence[Job], settled: Sequence[Outcome] = ()) -> Division:
    """Return the division of a row that keeps the calls before its first part."""
    first = first_of(taken.id)
    return Division(items(first, first_of(parts[0].id) - first), parts, settled)


def counts(storage: Storage, record: MapRecord) -> Mapping[State, int]:
    """Return how many calls are in each state."""
    return {State(state): number for state, number in storage.count_calls(record.id).items()}


def found(storage: Storage, record: MapRecord) -> MapRecord:
    """Return a map's record as it is stored now."""
    record_now = storage.find_map(record.id)
    assert record_now is not None
    return record_now


def merges(storage: Storage, record: MapRecord) -> list[str]:
    """Return the ids of the merges of a map."""
    rows = storage.rows_in(record.id, list(State), 100_000)
    return [job_id for job_id, _ in rows if is_merge(job_id)]
