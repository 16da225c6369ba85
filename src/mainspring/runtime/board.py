"""What a worker process leaves to be read when it dies: its journal of started jobs.

A file in the temporary folder, mapped into memory: writing to it costs no system call, and the
kernel keeps what a killed process wrote. The process holds a lock on the file as long as it lives,
so that whoever gets the lock knows that it is dead, sooner than any lease could tell.
"""

import fcntl
import hashlib
import mmap
import os
import re
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

_SIZE: Final = 128 * 1024
_MAGIC: Final = b"MSB1"
_HEADER: Final = struct.Struct("<4s???xi")  # magic, alive, ready, stopping, exit status
_FIRST: Final = 64
_ID: Final = 32
_ENTRY: Final = _ID + 8 + 1  # an id, a moment, and whether the job has ended since
_LAST: Final = _SIZE - _ENTRY - 1
_END: Final = b"\0"
_RUNS: Final = b"\0"
_ENDED: Final = b"\1"
_BIRTH: Final = 60.0  # seconds

# The boards that this process is locked by. It must not open them a second time: closing any
# descriptor of a file ends the process's locks on it.
_own: set[str] = set()
os.register_at_fork(after_in_child=_own.clear)


class Board:
    """One worker process's file: made by the supervisor, locked and written by the process."""

    def __init__(self, path: Path) -> None:
        """Open the board at ``path``; raises ``OSError`` or ``ValueError`` if it is none."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(self._descriptor, _SIZE)
        except ValueError:
            os.close(self._descriptor)
            raise
        self._entries: dict[str, int] = {}  # where each entry begins
        self._offset = _FIRST
        self._lock = threading.Lock()

    @classmethod
    def create(cls, identity: str, worker_id: str) -> Self:
        """Make the board of a new worker on the store that ``identity`` tells."""
        path = folder() / f"{_digest(identity)}-{worker_id}"
        with path.open("xb") as file:
            file.write(_HEADER.pack(_MAGIC, False, False, False, 0).ljust(_SIZE, _END))
        return cls(path)

    @property
    def worker_id(self) -> str:
        """The worker whose board this is."""
        return self.path.name.partition("-")[2]

    def come_alive(self) -> None:
        """Lock the board for as long as this process lives, and say that it is locked."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._map[4:5] = b"\1"
        _own.add(self.path.name)

    @property
    def has_come_alive(self) -> bool:
        """Whether its process has locked it, at one time."""
        return self._flag(1)

    def is_dead(self) -> bool:
        """Whether its process has come alive and died since."""
        if not self.has_come_alive:
            return False
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def is_abandoned(self) -> bool:
        """Whether its process was killed before it came alive: it has had the time by now."""
        return (
            not self.has_come_alive and time.time() - os.fstat(self._descriptor).st_mtime > _BIRTH
        )

    def _flag(self, index: int) -> bool:
        return bool(_HEADER.unpack_from(self._map)[index])

    @property
    def is_ready(self) -> bool:
        """Whether the process has reached the store once."""
        return self._flag(2)

    def mark_ready(self) -> None:
        """Say that the process has reached the store."""
        self._map[5:6] = b"\1"

    @property
    def was_stopped(self) -> bool:
        """Whether the process was ended because a shutdown ran out of time."""
        return self._flag(3)

    def mark_stopped(self) -> None:
        """Say that the process is ended because a shutdown ran out of time."""
        self._map[6:7] = b"\1"

    @property
    def exit_status(self) -> int:
        """The status that ``waitpid`` gave; 0 where nobody waited for the process."""
        return int(_HEADER.unpack_from(self._map)[4])

    def record_exit(self, status: int) -> None:
        """Keep the status that ``waitpid`` gave."""
        self._map[8:12] = status.to_bytes(4, "little", signed=True)

    def start(self, job_id: str, moment: int) -> None:
        """Enter a job that starts now; with :meth:`end`, 0.8 µs."""
        with self._lock:
            if self._offset > _LAST:
                raise OverflowError("The journal is full; settle first.")
            end = self._offset + _ENTRY
            # In one piece with the terminator, so that old entries behind it are never read.
            self._map[self._offset : end + 1] = (
                job_id.encode() + moment.to_bytes(8, "little") + _RUNS + _END
            )
            self._entries[job_id] = self._offset
            self._offset = end

    def end(self, job_id: str) -> None:
        """Note that a job has ended, so that nobody takes it for what killed the process."""
        with self._lock:
            end = self._entries[job_id] + _ENTRY
            self._map[end - 1 : end] = _ENDED

    @property
    def room(self) -> int:
        """How many jobs can still be entered before some must be settled."""
        return max((_LAST - self._offset) // _ENTRY, 0)

    def settled(self, ids: set[str]) -> None:
        """Strike out jobs whose outcomes are stored."""
        with self._lock:
            left = {job_id: at for job_id, at in self._entries.items() if job_id not in ids}
            # Kept in order, so each entry only moves towards the front: killed half-way, this
            # leaves every entry that is still needed at its old or its new place.
            self._offset = _FIRST
            for job_id, at in left.items():
                left[job_id] = self._offset
                end = self._offset + _ENTRY
                self._map[self._offset : end] = self._map[at : at + _ENTRY]
                self._offset = end
            self._map[self._offset : self._offset + 1] = _END
            self._entries = left

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the jobs that were running, and those that had ended and were not settled.

        Each with the moment at which it had been started.
        """
        running: dict[str, int] = {}
        ended: dict[str, int] = {}
        for offset in range(_FIRST, _LAST, _ENTRY):
            entry = self._map[offset : offset + _ENTRY]
            if entry[:1] == _END:
                break
            found = ended if entry[-1:] == _ENDED else running
            moment = int.from_bytes(entry[_ID:-1], "little")
            found[entry[:_ID].decode("ascii", "replace")] = moment
        return running, ended

    def close(self) -> None:
        """Close the file. In the process that came alive by it, this ends the lock."""
        self._map.close()
        os.close(self._descriptor)
        _own.discard(self.path.name)

    def remove(self) -> None:
        """Delete the file; it stays readable here until :meth:`close`."""
        self.path.unlink(missing_ok=True)


class NoBoard:
    """Instead of a board, where a worker cannot outlive what it works on: in memory."""

    room = _SIZE

    def start(self, job_id: str, moment: int) -> None:
        """Enter nothing."""

    def end(self, job_id: str) -> None:
        """Note nothing."""

    def settled(self, ids: set[str]) -> None:
        """Strike nothing out."""

    def mark_ready(self) -> None:
        """Say nothing."""

    def remove(self) -> None:
        """Delete nothing."""


def boards(identity: str) -> Iterator[Board]:
    """Yield the boards of this machine's other workers on the store that ``identity`` tells."""
    for path in folder().glob(f"{_digest(identity)}-*"):
        if path.name in _own:
            continue
        try:
            board = Board(path)
        except (OSError, ValueError):  # just removed, or just being made
            continue
        yield board


def folder() -> Path:
    """Return the folder of this user's boards.

    Raises ``PermissionError`` if others can write to it.
    """
    path = Path(tempfile.gettempdir()) / f"mainspring-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{path} must be a folder that only its owner can write to.")
    return path


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def host_name() -> str:
    """Return this machine's name, in the letters that a worker's id takes."""
    return re.sub(r"[^\w.]+", "_", os.uname().nodename)[:64] or "host"
