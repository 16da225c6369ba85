"""Disks that a test can fill."""

import subprocess
import tempfile
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Self

_MEGABYTE = 2**20


class Disk(ABC):
    """What a database is stored on."""

    name: str
    """What kind of disk it is, for people."""

    @abstractmethod
    def fill(self) -> None:
        """Leave no room."""

    @abstractmethod
    def free(self) -> None:
        """Make room again."""


class SmallDisk(Disk):
    """A file system of its own, in memory; a context manager.

    To enter it takes the rights to mount one: raises ``PermissionError`` without them.
    """

    name = "a small file system"

    def __init__(self, megabytes: int) -> None:
        self._size = f"size={megabytes}m"

    def __enter__(self) -> Self:
        """Mount it."""
        self.folder = Path(tempfile.mkdtemp(prefix="ms-disk-"))
        command = ["mount", "-t", "tmpfs", "-o", self._size, "tmpfs", str(self.folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.folder.rmdir()
            raise PermissionError(f"no file system can be mounted: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Unmount it, whoever still uses it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """Write a file that takes all the room that is left."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(_MEGABYTE))

    def free(self) -> None:
        """Delete the file."""
        self._filler.unlink()


class PageLimit(Disk):
    """SQLite's own limit, which anybody may set: its file cannot grow, though its log can."""

    name = "SQLite's limit of pages"

    def __init__(self, flag: Path) -> None:
        """``flag`` is the file that the engine ``flaky`` looks for."""
        self._flag = flag

    def fill(self) -> None:
        """Set it to what there is."""
        self._flag.touch()

    def free(self) -> None:
        """Set it to very many."""
        self._flag.unlink()
