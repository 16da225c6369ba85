from collections.abc import Sequence
from typing import Any

import pytest

from mainspring import exceptions
from mainspring.core import chunks, codec
from mainspring.core.chunks import MapRecord, Spec
from mainspring.core.jobs import State
from mainspring.core.merging import FAN_IN, next_step
from tests.contract.jobs import START, ids

MAP = chunks.new_map_id(START)
NOW = START + 5
GOOD, BAD, GONE = State.SUCCESSFUL, State.FAILED, State.CANCELLED


def record(level: int = 0, follow_up: bytes | None = None, **spec: Any) -> MapRecord:
    """Return the record of a map that is closed."""
    options = chunks.with_spec(b'{"max_attempts":3}', Spec(MAP, "items", **spec))
    return MapRecord(
        MAP, "default", "a.mapped", options, "mail", 7, START, 9, True, follow_up, level
    )


def rows(*states: State) -> list[tuple[str, int]]:
    """Return rows of a map in these states."""
    return [(chunks.row_id(MAP, number), state) for number, state in enumerate(states)]


def merges(level: int, *states: State) -> list[tuple[str, int]]:
    """Return merges in these states."""
    return [(chunks.merge_id(MAP, level, number), state) for number, state in enumerate(states)]


@pytest.mark.parametrize("below", [[], rows(GOOD), rows(BAD, GONE)])
def test_a_map_that_is_not_reduced_ends(below: Sequence[tuple[str, int]]) -> None:
    before = record()
    jobs, after = next_step(before, below, NOW)
    assert not jobs
    assert after == before._replace(finished_at=NOW)


@pytest.mark.parametrize(
    ("number", "groups"), [(1, [1]), (32, [32]), (33, [32, 1]), (70, [32, 32, 6])]
)
def test_rows_are_merged_in_groups(number: int, groups: list[int]) -> None:
    before = record(merge="a.merge")
    below = rows(*[GOOD] * number)
    jobs, after = next_step(before, below, NOW)
    assert FAN_IN == 32
    assert ids(jobs) == [chunks.merge_id(MAP, 1, n) for n in range(len(groups))]
    merged = [codec.decode_call(job.arguments)[0] for job in jobs]
    assert [len(one) for one in merged] == groups
    assert [job_id for one in merged for job_id in one] == [job_id for job_id, _ in below]
    assert after == before._replace(level=1)


def test_a_merge_is_a_new_task_in_the_maps_queue() -> None:
    ((job,), _) = next_step(record(merge="a.merge"), rows(GOOD), NOW)
    assert (job.task_path, job.queue_name, job.priority) == ("a.merge", "mail", 7)
    assert (job.state, job.available_at, job.enqueued_at) == (State.READY, NOW, NOW)
    assert job.options is not None
    assert list(codec.decode(job.options)) == ["_map"]  # not those of the mapped task
    assert chunks.spec_of(job.options) == Spec(MAP, "items", "a.merge", is_merge=True)


def test_the_next_level_merges_the_merges_until_one_is_left() -> None:
    jobs, after = next_step(record(1, merge="a.merge"), merges(1, GOOD, GOOD), NOW)
    assert ids(jobs) == [chunks.merge_id(MAP, 2, 0)]
    assert codec.decode_call(jobs[0].arguments)[0] == [one for one, _ in merges(1, GOOD, GOOD)]
    assert after.level == 2
    jobs, after = next_step(after, merges(2, GOOD), NOW)
    assert not jobs
    assert after == record(2, merge="a.merge")._replace(
        result_id=chunks.merge_id(MAP, 2, 0), finished_at=NOW
    )


@pytest.mark.parametrize("state", [BAD, GONE])
def test_with_skip_failed_calls_are_left_out(state: State) -> None:
    below = rows(GOOD, state, GOOD)
    ((job,), after) = next_step(record(merge="a.merge", on_error="skip"), below, NOW)
    assert codec.decode_call(job.arguments)[0] == [below[0][0], below[2][0]]
    assert after.finished_at is None


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_merge_that_failed_is_the_result(on_error: str) -> None:
    below = merges(1, GOOD, BAD, GONE)
    jobs, after = next_step(record(1, merge="a.merge", on_error=on_error), below, NOW)
    assert (list(jobs), after.result_id, after.finished_at) == ([], below[1][0], NOW)


@pytest.mark.parametrize(
    ("level", "on_error", "below", "why"),
    [
        (0, "fail", rows(GOOD, BAD, GONE), '2 calls failed, and on_error is "fail"'),
        (0, "skip", rows(BAD, GONE), "there is no value to reduce"),
        (0, "fail", [], "there is no value to reduce"),
    ],
)
def test_what_cannot_be_reduced_has_a_result_that_failed(
    level: int, on_error: str, below: Sequence[tuple[str, int]], why: str
) -> None:
    before = record(level, merge="a.merge", on_error=on_error)
    ((job,), after) = next_step(before, below, NOW)
    result_id = chunks.merge_id(MAP, level + 1, 0)
    assert after == before._replace(result_id=result_id, finished_at=NOW)
    assert (job.id, job.state, job.finished_at, job.claim) == (result_id, BAD, NOW, None)
    ((path, text),) = codec.decode(job.errors or b"")
    kind = exceptions.MapFailed
    assert path == f"{kind.__module__}.{kind.__qualname__}"
    assert why in text
    assert MAP in text


@pytest.mark.parametrize("merge", [None, "a.merge"])
def test_what_follows_gets_the_maps_id(merge: str | None) -> None:
    before = record(follow_up=b'["a.next","other",-3]', merge=merge)
    jobs, after = next_step(before, [], NOW)
    follow_up = jobs[-1]
    assert len(jobs) == (1 if merge is None else 2)
    assert follow_up[1:5] == ("default", "a.next", "other", -3)
    assert (follow_up.state, follow_up.options) == (State.READY, None)
    assert codec.decode_call(follow_up.arguments) == ([MAP], {})
    assert after.finished_at == NOW


def test_a_map_that_has_its_result_only_ends() -> None:
    before = record(2, merge="a.merge")._replace(result_id="r")
    jobs, after = next_step(before, [], NOW)
    assert not jobs
    assert after == before._replace(finished_at=NOW)
