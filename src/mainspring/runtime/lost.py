"""Find the dead workers of this machine, and report how they died."""

import os
import signal
from collections.abc import Mapping, Sequence

from mainspring.backends.storage import LostWorker
from mainspring.core import clock
from mainspring.core.dividing import Reached
from mainspring.core.errors import TaskError
from mainspring.exceptions import WorkerLost, WorkerStopped
from mainspring.runtime.board import FORMAT, Board, Started
from mainspring.runtime.boards import boards
from mainspring.runtime.crashes import culprits, stack_of
from mainspring.runtime.unreadable_files import tell_once


def find_lost(identity: str) -> Sequence[LostWorker]:
    """Return the workers on a store that died on this machine, with what they had started."""
    found = []
    for board in boards(identity):
        try:
            if board.is_dead():
                found.append(_lost_or_unknown(board))
            elif board.is_abandoned():
                board.remove()
        finally:
            board.close()
    return found


def forget(identity: str, lost: LostWorker) -> None:
    """Remove the board of a worker that has been rescued."""
    for board in boards(identity):
        if board.worker_id == lost.worker_id:
            board.remove()
        board.close()


def _lost_or_unknown(board: Board) -> LostWorker:
    # If the journal is of an older version, or damaged, we only know that the process is dead: any
    # of its jobs may have been started.
    if board.format == FORMAT:
        try:
            return _lost(board)
        except Exception as error:  # noqa: BLE001 # one damaged journal stops no other rescue
            tell_once(board.path, error)
    return LostWorker(board.worker_id, {}, _end_of(board, ""), started_at=board.changed_at)


def _lost(board: Board) -> LostWorker:
    journal, stacks = board.read(), board.stacks()
    overdue = {job_id: stack_of(stacks, one.thread) for job_id, one in journal.overdue.items()}
    if journal.overdue:  # killed because of these: no other job is blamed
        started: Mapping[str, Started] = journal.overdue
    elif board.was_stopped:
        started = journal.running
    else:
        started = culprits(board, journal.running)
    stack = "".join(stack_of(stacks, one.thread) for one in started.values()) if stacks else ""
    return LostWorker(
        board.worker_id,
        _moments(started),
        _end_of(board, stack),
        ended=_moments(journal.ended),
        overdue=overdue,
        reached={
            job_id: Reached(board.kept(job_id), one.first, one.number)
            for job_id, one in {**journal.running, **journal.overdue, **journal.ended}.items()
        },
    )


def _moments(started: Mapping[str, Started]) -> dict[str, int]:
    now = clock.now()  # any later time in the journal, or one before the first job, is damaged
    return {job_id: min(max(one.at, 0), now) for job_id, one in started.items()}


def _end_of(board: Board, stack: str) -> TaskError:
    kind = WorkerStopped if board.was_stopped else WorkerLost
    path = f"{kind.__module__}.{kind.__qualname__}"
    how = (
        "was ended, as the shutdown ran out of time,"
        if board.was_stopped
        else f"died ({_how(board.exit_status)})"
    )
    text = f"{path}: worker {board.worker_id} {how} while it ran this call\n"
    return TaskError(path, f"{text}It was here:\n{stack}" if stack else text)


def _how(status: int) -> str:
    if not status:
        return "nobody saw how"
    try:
        code = os.waitstatus_to_exitcode(status)
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"status {status}"
