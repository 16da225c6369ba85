"""Save the outcomes of calls in the rows of maps that a worker process runs, in case it dies.

Each row that takes longer than a moment has a file beside the process's board. The kernel keeps
what a killed process wrote. A rescue stores it, so that only the other calls are run again.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


class RowNotes:
    """The notes of one board."""

    def __init__(self, board: Path) -> None:
        self._board = board
        self._files: dict[str, int] = {}

    def keep(self, job_id: str, note: bytes) -> None:
        """Add a note of a row, which is one line; 20 µs for the first, 2 for others.

        Does nothing if it cannot be written: the calls are then run again after a crash.
        """
        with suppress(OSError):
            file = self._files.get(job_id)
            if file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                file = self._files[job_id] = os.open(self._path(job_id), flags, 0o600)
            os.write(file, note + b"\n")

    def kept(self, job_id: str) -> list[bytes]:
        """Return the notes of a row, by whichever process; without one that is cut off."""
        try:
            *notes, _rest = self._path(job_id).read_bytes().split(b"\n")
        except OSError:
            return []
        return notes

    def forget(self, ids: Collection[str]) -> None:
        """Delete the notes of rows that are settled."""
        for job_id in self._files.keys() & ids:
            os.close(self._files.pop(job_id))
            self._path(job_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def remove(self) -> None:
        """Delete all notes."""
        for path in self._board.parent.glob(f"kept-*-{self._board.name}"):
            path.unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        return self._board.with_name(f"kept-{job_id}-{self._board.name}")
