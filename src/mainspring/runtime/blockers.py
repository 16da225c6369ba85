"""Blockers: processes that were stopped in the middle of a write, so that nobody else can write."""

import logging
import os
import signal
from contextlib import suppress

from mainspring.backends.kernel_locks import has_mapped, holder_of, is_stopped
from mainspring.backends.storage import Storage
from mainspring.runtime.board import Board
from mainspring.runtime.boards import boards
from mainspring.runtime.identity import is_embedded

logger = logging.getLogger("mainspring")


class Blockers:
    """Ends the workers among them: what they ran is then rescued. Servers do that by themselves."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._suspect: int | None = None
        self._told: int | None = None

    def look(self) -> None:
        """Kill a blocker that was one at the last look, too; called where writing has failed."""
        process = self._storage.find_blocker()
        if process is None or not is_stopped(process):
            self._suspect = self._told = None
        elif process != self._suspect:
            self._suspect = process
        else:
            self._end(process)

    def _end(self, process: int) -> None:
        worker_id = _worker_of(self._storage.identity, process)
        if worker_id is None or is_embedded(worker_id, process):
            self._tell(process)
            return
        logger.error(
            "Killing worker %s: its process %d was stopped in the middle of a write, and nobody "
            "else could write",
            worker_id,
            process,
            extra={"worker_id": worker_id, "blocker": process},
        )
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)

    def _tell(self, process: int) -> None:
        if process == self._told:
            return
        self._told = process
        logger.error(
            "Process %d was stopped in the middle of a write, and nobody else can write: continue "
            "it (kill -CONT %d) or end it",
            process,
            process,
            extra={"blocker": process},
        )


def _worker_of(identity: str, process: int) -> str | None:
    found = None
    for board in boards(identity):
        if _is_of(board, process):
            found = board.worker_id
        board.close()
    return found


def _is_of(board: Board, process: int) -> bool:
    # The process id alone could belong to another container. A board of an older version has no
    # process id, but a lock that the kernel reports.
    if board.process == process:
        return has_mapped(process, board.path)
    return holder_of(board.path) == process
