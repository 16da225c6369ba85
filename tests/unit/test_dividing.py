"""Dividing rows: what becomes of each call when a row does not come to one end."""

import pytest

from mainspring.core import codec, outcomes
from mainspring.core.chunks import Spec, first_of, new_map_id, row_id, with_spec
from mainspring.core.dividing import (
    Piece,
    Reached,
    divide,
    give_away,
    note_of_failure,
    rescue_ended,
    rescue_row,
)
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Job, Outcome, State
from mainspring.core.policy import Policy
from mainspring.exceptions import TaskTimeout, WorkerLost

MAP = new_map_id(1_700_000_000_000_000)
LOST = TaskError(f"{WorkerLost.__module__}.{WorkerLost.__qualname__}", "gone\n")
POLICY = Policy(1, 0, None, 3)
NOW = 1_000


def row(number: int = 10, first: int = 100, merge: str | None = None, **changes: object) -> Job:
    options = with_spec(None, Spec(MAP, "items", merge))
    job = Job(
        row_id(MAP, first),
        "default",
        "m.f",
        "default",
        0,
        0,
        State.RUNNING,
        7,
        codec.encode(list(range(number))),
        None,
        0,
        options,
    )
    return job._replace(**changes)


def rescued(
    job: Job, reached: Reached | None, overdue: BaseException | None = None
) -> list[tuple[int, list[int], int, int]]:
    """Return of each part: its first call, its items, its state and how many errors it has."""
    division = rescue_row(job, "w", reached, 5, NOW, LOST, POLICY, overdue)
    rows = {job.id: division.arguments} | {part.id: part.arguments for part in division.parts}
    assert [outcome.id for outcome in division.outcomes] == list(rows)
    assert {outcome.claim for outcome in division.outcomes} == {7}
    return [
        (
            first_of(outcome.id),
            codec.decode(rows[outcome.id]),
            outcome.state,
            len(codec.decode(outcome.errors or b"[]")),
        )
        for outcome in division.outcomes
    ]


def done(values: list[int]) -> bytes:
    return codec.encode(values)


def test_pieces_become_rows() -> None:
    job = row(4)

    def returned(part: Job) -> Outcome:
        return outcomes.succeeded(part, "w", 1, 2, b"[0,0]")

    pieces = [Piece(0, 2, returned), Piece(2, 1, outcomes.untouched), Piece(3, 1, returned)]
    division = divide(job, [0, 1, 2, 3], pieces)
    assert division.arguments == b"[0,1]"
    assert [(part.id, part.arguments) for part in division.parts] == [
        (row_id(MAP, 102), b"[2]"),
        (row_id(MAP, 103), b"[3]"),
    ]
    states = [State.SUCCESSFUL, State.READY, State.SUCCESSFUL]
    assert [outcome.state for outcome in division.outcomes] == states
    assert all((part.state, part.claim) == (State.RUNNING, 7) for part in division.parts)


def test_one_piece_divides_nothing() -> None:
    job = row(3, errors=b'[["a","b"]]')
    division = divide(job, [0, 1, 2], [Piece(0, 3, outcomes.untouched)])
    assert (division.arguments, division.parts) == (job.arguments, [])
    assert division.outcomes[0].errors == job.errors


@pytest.mark.parametrize(("parts", "sizes"), [(1, [7]), (2, [4, 3]), (7, [1] * 7), (3, [3, 3, 1])])
def test_what_is_given_away_is_shared_out(parts: int, sizes: list[int]) -> None:
    division = give_away(row(10), list(range(10)), 3, parts)
    assert division.arguments == b"[0,1,2]"
    assert [len(codec.decode(part.arguments)) for part in division.parts] == sizes
    assert first_of(division.parts[0].id) == 103
    assert {outcome.state for outcome in division.outcomes} == {State.READY}
    assert len(division.outcomes) == len(division.parts)  # the row itself runs on


def test_the_call_that_took_its_worker_down_is_the_only_one_to_pay() -> None:
    assert rescued(row(), Reached([done([0, 1]), done([2])], 3, 1)) == [
        (100, [0, 1], State.SUCCESSFUL, 0),
        (102, [2], State.SUCCESSFUL, 0),
        (103, [3], State.READY, 1),
        (104, [4, 5, 6, 7, 8, 9], State.READY, 0),
    ]


def test_it_fails_at_its_last_crash() -> None:
    errors = codec.encode([[*LOST[:2]]] * 2)
    job = row(1, errors=errors)
    assert rescued(job, Reached([], 0, 1)) == [(100, [0], State.FAILED, 3)]


def test_of_several_suspects_each_is_run_by_itself_next_time() -> None:
    assert rescued(row(), Reached([], 0, 4)) == [
        (100, [0, 1, 2, 3], State.READY, 1),
        (104, [4, 5, 6, 7, 8, 9], State.READY, 0),
    ]


def test_where_nothing_is_known_all_are_suspects_and_then_half_of_them() -> None:
    assert rescued(row(), None) == [(100, list(range(10)), State.READY, 1)]
    suspects = row(errors=codec.encode([[*LOST[:2]]]))
    assert rescued(suspects, None) == [
        (100, [0, 1, 2, 3, 4], State.READY, 1),
        (105, [5, 6, 7, 8, 9], State.READY, 1),
    ]
    assert rescued(row(1), None) == [(100, [0], State.READY, 1)]


def test_a_death_between_two_slices_is_nobodys_fault() -> None:
    assert rescued(row(4), Reached([done([0, 1])], 1, 1)) == [
        (100, [0, 1], State.SUCCESSFUL, 0),
        (102, [2, 3], State.READY, 0),
    ]


def test_what_was_overdue_fails_with_its_timeout() -> None:
    found = rescued(row(3), Reached([done([0])], 1, 1), TaskTimeout("too long"))
    assert found == [
        (100, [0], State.SUCCESSFUL, 0),
        (101, [1], State.FAILED, 1),
        (102, [2], State.READY, 0),
    ]


def test_failures_before_the_crash_are_kept() -> None:
    failed = outcomes.failed(row(1), "w", 3, 4, TaskError("a.B", "text"))
    found = rescued(row(4), Reached([done([0]), note_of_failure(failed)], 2, 1))
    assert found == [
        (100, [0], State.SUCCESSFUL, 0),
        (101, [1], State.FAILED, 1),
        (102, [2], State.READY, 1),
        (103, [3], State.READY, 0),
    ]


def test_retries_before_the_crash_are_kept() -> None:
    retried = outcomes.failed(row(1), "w", 3, 4, TaskError("a.B", "text"), retry_at=50)
    division = rescue_row(
        row(2), "w", Reached([note_of_failure(retried)], 1, 1), 5, NOW, LOST, POLICY, None
    )
    first = division.outcomes[0]
    assert (first.state, first.available_at, first.finished_at) == (State.SCHEDULED, 50, None)


def test_what_had_ended_is_stored_and_the_rest_released() -> None:
    division = rescue_ended(row(4), "w", Reached([done([0, 1])]), 5, NOW)
    assert [(one.id, one.state) for one in division.outcomes] == [
        (row_id(MAP, 100), State.SUCCESSFUL),
        (row_id(MAP, 102), State.READY),
    ]
    untouched = rescue_ended(row(4), "w", Reached(), 5, NOW)
    assert [outcome.state for outcome in untouched.outcomes] == [State.READY]
    assert untouched.parts == []


def test_values_that_are_to_be_reduced_are_left_to_the_merge() -> None:
    division = rescue_ended(row(2, merge="m.add"), "w", Reached([done([0, 1])]), 5, NOW)
    assert division.outcomes[0].return_value == b"[[0,1]]"


@pytest.mark.parametrize(
    "note",
    [
        b"[1,2",
        b"\xff",
        b"",
        b"5",
        b"null",
        b"{}",
        b'{"fields":[1],"error":[]}',
        b'{"fields":[1,2,3,"x"],"error":["a","b",1,2,"w"]}',
        b"[" * 100_000,
        done(list(range(100))),
    ],
    ids=range(10),
)
def test_after_a_damaged_note_calls_are_run_again_and_no_other_one_pays(note: bytes) -> None:
    """Those before it are kept; those that had ended after it are nobody's fault."""
    reached = Reached([done([0, 1]), note, done([4, 5])], 6, 1)
    assert rescued(row(), reached) == [
        (100, [0, 1], State.SUCCESSFUL, 0),
        (102, [2, 3, 4, 5], State.READY, 0),
        (106, [6], State.READY, 1),
        (107, [7, 8, 9], State.READY, 0),
    ]


@pytest.mark.parametrize("start", [-(2**62), -1, 11, 2**62])
@pytest.mark.parametrize("number", [-(2**62), 1, 2**62])
def test_wherever_a_damaged_journal_says_it_was_all_calls_are_there(
    start: int, number: int
) -> None:
    parts = rescued(row(), Reached([done([0, 1])], start, number))
    assert [item for _, items, *_ in parts for item in items] == list(range(10))
