"""The board of a worker process: a journal of started jobs, for others to read when it dies.

A file in the temporary folder, mapped into memory: writing to it costs no system call, and the
kernel keeps what a killed process wrote. The process holds a lock on the file for as long as it
lives. If another process gets the lock, the owner is dead, which is known long before its lease
expires. Another file has the stacks of its threads, written on a crash and before a kill.
"""

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from mainspring.exceptions import NewerFormat, Unreadable
from mainspring.runtime import proof_of_life
from mainspring.runtime.own_folder import digest, folder
from mainspring.runtime.row_notes import RowNotes

_SIZE: Final = 160 * 1024
FORMAT: Final = 3
"""The format of a board, of its journal and of the notes beside it; the last byte of its magic."""
_SIGN: Final = b"MSB"
_MAGIC: Final = b"%b%d" % (_SIGN, FORMAT)
_HEADER: Final = struct.Struct("<4s???xi")  # magic, alive, ready, stopping, exit status
_NUMBER: Final = struct.Struct("<q")
_TERM: Final = struct.Struct("<qq")  # began, timeout
_EXITING: Final = 16  # offset of the number of the thread that ends the process
_STEPPING: Final = 24  # offset of: which entry's coroutine the event loop runs now
_PROCESS: Final = 32  # offset of the process id
_FIRST: Final = 64
# id, moment, began, timeout, thread, first call and number of those that run, state
_ENTRY: Final = struct.Struct("<32sqqqqqqc")
_SLICE: Final = struct.Struct("<qq")
_NEW_ENTRY: Final = struct.Struct(f"{_ENTRY.format}c")  # with the terminator
_ID: Final = 32
_BEGAN: Final = _ID + 8
_CALLS: Final = _BEGAN + 24
_LAST: Final = _SIZE - _ENTRY.size - 1
_END: Final = b"\0"
_RUNS: Final = b"\0"
_ENDED: Final = b"\1"
_OVERDUE: Final = b"\2"
BIRTH: Final = 60.0  # seconds

# The boards that this process holds a lock on: it need not check whether they are dead.
own: set[str] = set()
os.register_at_fork(after_in_child=own.clear)


class Started(NamedTuple):
    """One job that was started and not settled."""

    at: int
    """The start, in microseconds."""
    began: int
    """The start by :func:`ticks`; for a row of a map, that of the calls that run now."""
    timeout: int
    """Microseconds after which it is interrupted; 0 for never."""
    thread: int
    """The number of its thread."""
    first: int = 0
    """For a row of a map: the first of the calls that run now, one after the other."""
    number: int = 0
    """The number of these calls; 0 if unknown."""

    @property
    def deadline(self) -> int | None:
        """When it is to be interrupted, by :func:`ticks`."""
        return self.began + self.timeout if self.timeout else None


class Journal(NamedTuple):
    """The jobs in a journal, by id."""

    running: Mapping[str, Started]
    ended: Mapping[str, Started]
    """Ended, but not settled."""
    overdue: Mapping[str, Started]
    """Did not end when interrupted, so that the process was killed."""


def ticks() -> int:
    """Return the monotonic time in microseconds, which is the same in all processes."""
    return time.monotonic_ns() // 1000


class Board:
    """One worker process's file: made by the supervisor, locked and written by the process."""

    def __init__(self, path: Path) -> None:
        """Open the board at ``path``.

        Raises ``OSError``, ``ValueError`` if it is still being created, ``Unreadable`` if it is
        damaged, and ``NewerFormat`` if it is of a newer version.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.format = _format_of(os.pread(self._descriptor, len(_MAGIC), 0))
            """The format of its journal. If it is older, only the header is read."""
            self._map = mmap.mmap(self._descriptor, _SIZE if self.format == FORMAT else 0)
        except ValueError:
            os.close(self._descriptor)
            raise
        self._entries: dict[str, int] = {}  # where each entry begins
        self._offset = _FIRST
        self._notes = RowNotes(path)
        self._lock = threading.Lock()
        self._proof: int | None = None

    @classmethod
    def create(cls, identity: str, worker_id: str) -> Self:
        """Create the board of a new worker on the store of ``identity``."""
        path = folder() / f"{digest(identity)}-{worker_id}"
        with path.open("xb") as file:
            file.write(_HEADER.pack(_MAGIC, False, False, False, 0).ljust(_SIZE, _END))
        return cls(path)

    @property
    def worker_id(self) -> str:
        """The worker whose board this is."""
        return self.path.name.partition("-")[2]

    @property
    def stacks_path(self) -> Path:
        """The file for the stacks of the process's threads."""
        return self.path.with_name(f"stacks-{self.path.name}")

    def stacks(self) -> str:
        """Return the contents of the file of stacks; an empty string if there is none."""
        try:
            return self.stacks_path.read_text("utf-8", "replace")
        except OSError:
            return ""

    def come_alive(self) -> None:
        """Lock the board for as long as this process lives, and record that it is locked."""
        self._proof = proof_of_life.hold(self.path)
        _NUMBER.pack_into(self._map, _PROCESS, os.getpid())
        self._map[4:5] = b"\1"
        own.add(self.path.name)

    @property
    def has_come_alive(self) -> bool:
        """Whether its process has ever locked it."""
        return self._flag(1)

    def is_dead(self) -> bool:
        """Whether its process has come alive and died since."""
        return self.has_come_alive and proof_of_life.is_over(self._descriptor)

    @property
    def process(self) -> int:
        """The id of its process, as that process sees it; 0 if it has not started."""
        return int(_NUMBER.unpack_from(self._map, _PROCESS)[0])

    def is_abandoned(self) -> bool:
        """Whether its process was killed before it came alive: it has had the time by now."""
        return not self.has_come_alive and time.time() - os.fstat(self._descriptor).st_mtime > BIRTH

    @property
    def changed_at(self) -> int:
        """The time of the last write, in microseconds."""
        return os.fstat(self._descriptor).st_mtime_ns // 1000

    def _flag(self, index: int) -> bool:
        return bool(_HEADER.unpack_from(self._map)[index])

    @property
    def is_ready(self) -> bool:
        """Whether the process has reached the store once."""
        return self._flag(2)

    def mark_ready(self) -> None:
        """Record that the process has reached the store."""
        self._map[5:6] = b"\1"

    @property
    def was_stopped(self) -> bool:
        """Whether the process was ended because a shutdown ran out of time."""
        return self._flag(3)

    def mark_stopped(self) -> None:
        """Record that the process is ended because a shutdown ran out of time."""
        self._map[6:7] = b"\1"

    @property
    def exit_status(self) -> int:
        """The status from ``waitpid``; 0 if no process waited for it."""
        return int(_HEADER.unpack_from(self._map)[4])

    def record_exit(self, status: int) -> None:
        """Record the status from ``waitpid``."""
        self._map[8:12] = status.to_bytes(4, "little", signed=True)

    @property
    def exiting_thread(self) -> int:
        """The number of the thread that ended the process by itself; 0 if unknown."""
        return int(_NUMBER.unpack_from(self._map, _EXITING)[0])

    def record_exiting(self, thread: int) -> None:
        """Record which thread ends the process."""
        _NUMBER.pack_into(self._map, _EXITING, thread)

    def step(self, job_id: str) -> None:
        """Record that the event loop runs this job's coroutine from now on; 0.2 µs."""
        _NUMBER.pack_into(self._map, _STEPPING, self._entries.get(job_id, 0))

    def stepping(self) -> str | None:
        """Return the job whose coroutine the event loop ran last."""
        offset = _NUMBER.unpack_from(self._map, _STEPPING)[0]
        if not _FIRST <= offset <= _LAST:
            return None
        return self._map[offset : offset + _ID].decode("ascii", "replace")

    def start(self, job_id: str, moment: int, began: int = 0, timeout: int = 0) -> None:
        """Record a job that starts now in the calling thread; with :meth:`end`, 1 µs."""
        with self._lock:
            if self._offset > _LAST:
                raise OverflowError("The journal is full; settle first.")
            end = self._offset + _ENTRY.size
            # In one piece with the terminator, so that old entries behind it are never read.
            self._map[self._offset : end + 1] = _NEW_ENTRY.pack(
                job_id.encode(), moment, began, timeout, threading.get_ident(), 0, 0, _RUNS, _END
            )
            self._entries[job_id] = self._offset
            self._offset = end

    def go_on(self, job_id: str, began: int, timeout: int, first: int, number: int) -> None:
        """Record which calls of a row of a map run now, their start and timeout; 0.5 µs."""
        with self._lock:
            offset = self._entries[job_id]
            _TERM.pack_into(self._map, offset + _BEGAN, began, timeout)
            _SLICE.pack_into(self._map, offset + _CALLS, first, number)

    def keep(self, job_id: str, note: bytes) -> None:
        """Save the outcomes of some calls of a row, in case the rest must be rescued."""
        self._notes.keep(job_id, note)

    def kept(self, job_id: str) -> list[bytes]:
        """Return the saved outcomes of a row."""
        return self._notes.kept(job_id)

    def end(self, job_id: str) -> None:
        """Record that a job has ended, so that it is not blamed if the process dies."""
        with self._lock:
            end = self._entries[job_id] + _ENTRY.size
            self._map[end - 1 : end] = _ENDED

    def expire(self, job_id: str) -> None:
        """Record that a job was interrupted just now, whatever its deadline was."""
        with self._lock:
            offset = self._entries.get(job_id)
            if offset is not None:
                _TERM.pack_into(self._map, offset + _BEGAN, ticks() - 1, 1)

    @property
    def room(self) -> int:
        """How many more jobs can be recorded before some must be settled."""
        return max((_LAST - self._offset) // _ENTRY.size, 0)

    def settled(self, ids: set[str]) -> None:
        """Remove jobs whose outcomes are stored."""
        self._notes.forget(ids)
        with self._lock:
            stepping, steps_at = _NUMBER.unpack_from(self._map, _STEPPING)[0], 0
            left = {job_id: at for job_id, at in self._entries.items() if job_id not in ids}
            # Kept in order, so each entry only moves towards the front: killed half-way, this
            # leaves every entry that is still needed at its old or its new place.
            self._offset = _FIRST
            for job_id, at in left.items():
                left[job_id] = self._offset
                end = self._offset + _ENTRY.size
                self._map[self._offset : end] = self._map[at : at + _ENTRY.size]
                steps_at = self._offset if at == stepping else steps_at
                self._offset = end
            self._map[self._offset : self._offset + 1] = _END
            _NUMBER.pack_into(self._map, _STEPPING, steps_at)
            self._entries = left

    def read(self) -> Journal:
        """Return the jobs that were started and not settled."""
        found: dict[bytes, dict[str, Started]] = {_RUNS: {}, _ENDED: {}, _OVERDUE: {}}
        for _, job_id, started, state in self._listed():
            found[state][job_id] = started
        return Journal(found[_RUNS], found[_ENDED], found[_OVERDUE])

    def _listed(self) -> Iterator[tuple[int, str, Started, bytes]]:
        offset = _FIRST
        while offset <= _LAST and self._map[offset : offset + 1] != _END:
            job_id, *started, state = _ENTRY.unpack_from(self._map, offset)
            if state in {_RUNS, _ENDED, _OVERDUE}:
                yield offset, job_id.decode("ascii", "replace"), Started(*started), state
            offset += _ENTRY.size

    def started(self, job_id: str) -> Started | None:
        """Return what this process has recorded of a job."""
        with self._lock:
            offset = self._entries.get(job_id)
            return None if offset is None else Started(*_ENTRY.unpack_from(self._map, offset)[1:7])

    def first_deadline(self) -> int | None:
        """Return the earliest deadline of a running job; None if none has one."""
        return min((deadline for _, _, deadline in self._deadlines()), default=None)

    def mark_overdue(self, before: int) -> list[str]:
        """Mark and return the running jobs with a deadline before that; its process is stopped."""
        overdue = []
        for offset, job_id, deadline in self._deadlines():
            if deadline <= before:
                end = offset + _ENTRY.size
                self._map[end - 1 : end] = _OVERDUE
                overdue.append(job_id)
        return overdue

    def _deadlines(self) -> Iterator[tuple[int, str, int]]:
        for offset, job_id, started, state in self._listed():
            if state == _RUNS and (deadline := started.deadline) is not None:
                yield offset, job_id, deadline

    def close(self) -> None:
        """Close the file. In the process that came alive by it, this ends the lock."""
        self._map.close()
        os.close(self._descriptor)
        if self._proof is not None:
            proof_of_life.let_go(self._proof)
        own.discard(self.path.name)

    def disown(self) -> None:
        """Close the file in a child process; the parent keeps its lock."""
        self.close()
        self._notes.close()

    def remove(self) -> None:
        """Delete the files; the journal stays readable here until :meth:`close`."""
        self.stacks_path.unlink(missing_ok=True)
        self._notes.remove()
        self.path.unlink(missing_ok=True)  # last, because the others are found by its name


def _format_of(magic: bytes) -> int:
    if len(magic) < len(_MAGIC) or not magic.strip(_END):
        raise ValueError("The board is still being created.")
    sign, number = magic[:-1], magic[-1:]
    if sign != _SIGN or not number.isalnum():
        raise Unreadable(f"The file does not start with the header of a board: {magic!r}.")
    found = int(number, 36)
    if found > FORMAT:
        raise NewerFormat(
            f"The board has format {found}; this version reads up to {FORMAT}.", found
        )
    return found


class NoBoard:
    """Replaces the board of a worker whose store is in memory, and dies with it."""

    room = _SIZE

    def start(self, job_id: str, moment: int, began: int = 0, timeout: int = 0) -> None:
        """Do nothing."""

    def started(self, job_id: str) -> None:
        """Return None: no job is recorded."""

    def go_on(self, job_id: str, began: int, timeout: int, first: int, number: int) -> None:
        """Note nothing."""

    def keep(self, job_id: str, note: bytes) -> None:
        """Do nothing."""

    def end(self, job_id: str) -> None:
        """Note nothing."""

    def step(self, job_id: str) -> None:
        """Note nothing."""

    def expire(self, job_id: str) -> None:
        """Note nothing."""

    def settled(self, ids: set[str]) -> None:
        """Do nothing."""

    def mark_ready(self) -> None:
        """Do nothing."""

    def disown(self) -> None:
        """Do nothing."""

    def remove(self) -> None:
        """Do nothing."""
