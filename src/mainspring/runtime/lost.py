"""Finding the dead workers of this machine, and saying how they died."""

import os
import signal
from collections.abc import Sequence

from mainspring.backends.storage import LostWorker
from mainspring.core.results import TaskError
from mainspring.exceptions import WorkerLost, WorkerStopped
from mainspring.runtime.board import Board, boards


def find_lost(identity: str) -> Sequence[LostWorker]:
    """Return the workers on a store that died on this machine, with what they had started."""
    found = []
    for board in boards(identity):
        try:
            if board.is_dead():
                running, ended = board.read()
                found.append(LostWorker(board.worker_id, running, _end_of(board), ended=ended))
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


def _end_of(board: Board) -> TaskError:
    kind = WorkerStopped if board.was_stopped else WorkerLost
    path = f"{kind.__module__}.{kind.__qualname__}"
    how = (
        "was ended, as the shutdown ran out of time,"
        if board.was_stopped
        else f"died ({_how(board.exit_status)})"
    )
    return TaskError(path, f"{path}: worker {board.worker_id} {how} while it ran this call\n")


def _how(status: int) -> str:
    if not status:
        return "nobody saw how"
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
