"""The locks on files that Linux tells of: which process holds them. Other systems tell nothing."""

from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")
_FIELDS: Final = 8
"""Number, POSIX, ADVISORY, WRITE, process, device and inode, first byte, last byte."""

_WRITE_LOCK: Final = "120"
"""The byte of an SQLite database's -shm file: https://www.sqlite.org/walformat.html, 2.3.1."""


def holder_of(file: Path, first_byte: str = "0") -> int | None:
    """Return the process that holds a lock for writing on a file from a byte on, if any.

    By the file's inode alone: some file systems tell the kernel and us different devices.
    """
    try:
        inode = str(file.stat().st_ino)
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()  # those who wait have an arrow, and one field more
        if len(fields) != _FIELDS or fields[3] != "WRITE" or fields[6] != first_byte:
            continue
        process = int(fields[4])
        if process > 0 and fields[5].rpartition(":")[2] == inode:  # else in another container
            return process
    return None


def writer_of(database: Path) -> int | None:
    """Return the process that holds an SQLite database's lock for writing, in WAL mode."""
    return holder_of(database.with_name(f"{database.name}-shm"), _WRITE_LOCK)


def has_mapped(process: int, file: Path) -> bool:
    """Return True if a process has mapped a file of this name into its memory."""
    try:
        return file.name in Path(f"/proc/{process}/maps").read_text("utf-8", "replace")
    except OSError:
        return False


def is_stopped(process: int) -> bool:
    """Whether a process was stopped, by SIGSTOP or Ctrl-Z, and not continued yet."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] == ["T"]
