"""Dividing: what becomes of a row of a map whose calls do not all come to the same end.

Decided here, stored elsewhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from mainspring.core import codec, outcomes
from mainspring.core.chunks import (
    Division,
    first_of,
    items_in,
    part_of,
    returned_by,
    spec_of,
)
from mainspring.core.errors import TaskError
from mainspring.core.failures import outcome_of_failure
from mainspring.core.jobs import Job, Outcome, State
from mainspring.core.policy import Policy
from mainspring.exceptions import WorkerLost

_WORKER_LOST: Final = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"

type Settle = Callable[[Job], Outcome]
"""What becomes of the row that gets a piece."""


class Piece(NamedTuple):
    """Some calls of a row, one after the other, that come to the same end."""

    offset: int
    """Of the first one, in the row."""
    number: int
    settle: Settle


class Reached(NamedTuple):
    """How far a worker had come with a row when it died."""

    kept: Sequence[bytes] = ()
    """What it had written down: JSON lists of values, and for a failed call what
    :func:`note_of_failure` returned."""
    start: int = 0
    """The first of the calls that it ran at that moment, in the row."""
    number: int = 0
    """How many calls these were; 0 where that is not known."""


def divide(job: Job, items: Sequence[Any], pieces: Sequence[Piece]) -> Division:
    """Return the division of a claimed row into pieces, which are all that it has, in order."""
    first, kept, parts, settled = first_of(job.id), job.arguments, [], []
    for piece in pieces:
        part = job
        if piece.number < len(items):
            arguments = codec.encode(items[piece.offset : piece.offset + piece.number])
            part = part_of(job, first + piece.offset, arguments)
            if piece.offset:
                parts.append(part)
            else:
                kept = arguments
        settled.append(piece.settle(part))
    return Division(kept, parts, settled)


def give_away(job: Job, items: Sequence[Any], keep: int, parts: int) -> Division:
    """Return the division by which a row keeps its first ``keep`` calls and runs on.

    The others become so many ``parts``, for others to take.
    """
    left = len(items) - keep
    size = -(-left // parts)
    whole = divide(
        job,
        items,
        [
            Piece(offset, min(size, len(items) - offset), outcomes.untouched)
            for offset in range(keep, len(items), size)
        ],
    )
    return whole._replace(arguments=codec.encode(items[:keep]))


# After the death of a worker


def note_of_failure(outcome: Outcome) -> bytes:
    """Return what is written down of a failed call while others of its row run."""
    fields = (outcome.state, outcome.available_at, outcome.last_attempted_at, outcome.finished_at)
    error = codec.decode(outcome.errors or b"[]")[-1]
    return codec.encode({"fields": fields, "error": error})


def rescue_row(
    job: Job,
    worker_id: str,
    reached: Reached | None,
    started_at: int,
    now: int,
    error: TaskError,
    policy: Policy,
    overdue: BaseException | None,
) -> Division:
    """Return the division of a row that a lost worker had started to run.

    The outcomes that it had recorded are kept. Only the call that took it down, or was ``overdue``,
    is blamed. If it is not known which of several calls it was, these are run one by one next time.
    """
    items = items_in(job.arguments)

    def failed(part: Job) -> Outcome:
        if overdue is not None:
            return outcome_of_failure(part, policy, worker_id, started_at, now, overdue)
        return outcomes.lost(part, worker_id, started_at, now, error, policy.max_crashes)

    def suspected(part: Job) -> Outcome:
        return outcomes.lost(part, worker_id, started_at, now, error, policy.max_crashes + 1)

    if reached is None or not reached.number:
        return _rescue_blindly(job, items, failed, suspected)
    pieces = _kept_pieces(job, items, reached, worker_id, started_at, now)
    start = sum(piece.number for piece in pieces)
    end = min(reached.start + reached.number, len(items))
    if start < reached.start < end:  # ended, but their outcomes were not recorded, or are damaged
        pieces.append(Piece(start, reached.start - start, outcomes.untouched))
        start = reached.start
    if start < end:  # else it died between two slices
        number = end - start
        pieces.append(Piece(start, number, failed if number == 1 else suspected))
        start = end
    if start < len(items):
        pieces.append(Piece(start, len(items) - start, outcomes.untouched))
    return divide(job, items, pieces)


def rescue_ended(job: Job, worker_id: str, reached: Reached, started_at: int, now: int) -> Division:
    """Return the division of a row that a lost worker had run to its end, and not settled."""
    items = items_in(job.arguments)
    pieces = _kept_pieces(job, items, reached, worker_id, started_at, now)
    kept = sum(piece.number for piece in pieces)
    if kept < len(items):
        pieces.append(Piece(kept, len(items) - kept, outcomes.untouched))
    return divide(job, items, pieces)


def _rescue_blindly(job: Job, items: Sequence[Any], failed: Settle, suspected: Settle) -> Division:
    number = len(items)
    if number == 1:
        return divide(job, items, [Piece(0, 1, failed)])
    if job.errors is None:
        return divide(job, items, [Piece(0, number, suspected)])
    # The row took down a worker that ran its calls one by one, and there is no record of which call
    # it was. Divide it, so that the innocent half is freed.
    half = number // 2
    return divide(job, items, [Piece(0, half, suspected), Piece(half, number - half, suspected)])


def _kept_pieces(
    job: Job, items: Sequence[Any], reached: Reached, worker_id: str, started_at: int, now: int
) -> list[Piece]:
    spec, pieces, left = spec_of(job.options), list[Piece](), len(items)
    if spec is None:
        raise ValueError(f"Job {job.id} is no row of a map.")
    for note in reached.kept:
        found = _read_note(note)
        if isinstance(found, list):
            returned = returned_by(spec, note)
            number, settle = len(found), _returned(returned, worker_id, started_at, now)
        elif found is not None:
            number, settle = 1, _failed_before(found, worker_id)
        if found is None or number > left:  # damaged: all calls from here on are run again
            break
        if number:
            pieces.append(Piece(len(items) - left, number, settle))
        left -= number
    return pieces


def _read_note(note: bytes) -> "list[Any] | _Failure | None":
    # None if it is damaged.
    try:
        return codec.decode(note) if note.startswith(b"[") else _decode_failure(note)
    except (ValueError, RecursionError):
        return None


def _returned(values: bytes | None, worker_id: str, started_at: int, now: int) -> Settle:
    def settle(part: Job) -> Outcome:
        return outcomes.succeeded(part, worker_id, started_at, now, values)

    return settle


class _Failure(msgspec.Struct):
    """The record that :func:`note_of_failure` writes."""

    fields: tuple[int, int, int | None, int | None]
    error: tuple[str, str, int, int, str]


_decode_failure: Final = msgspec.json.Decoder(_Failure).decode


def _failed_before(note: _Failure, worker_id: str) -> Settle:
    state, available_at, started_at, finished_at = note.fields
    path, text, began, ended, _ = note.error

    def settle(part: Job) -> Outcome:
        error = TaskError(path, text)
        retry_at = None if state >= State.SUCCESSFUL else available_at
        last = outcomes.failed(part, worker_id, began, ended, error, retry_at)
        return last._replace(last_attempted_at=started_at, finished_at=finished_at)

    return settle
