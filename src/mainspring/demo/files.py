"""The source files that the demo reads."""

import os
import stat
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders that may be below the standard library's and are no part of it."""


class SourceFile(NamedTuple):
    """A file whose name ends in ``.py``."""

    path: str
    size: int
    """In bytes."""


class Found(NamedTuple):
    """The Python files of a folder, by path, and what could not be taken."""

    files: list[SourceFile]
    nameless: int
    """Files whose names are not Unicode; a task's arguments, being JSON, cannot hold them."""
    unreadable: int
    """Folders that could not be looked into."""


def standard_library() -> Path:
    """Return the folder of the standard library of the Python that runs this."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(
    folder: Path, check: Callable[[], None], skip: frozenset[str] = frozenset()
) -> Found:
    """Find the Python files below ``folder``; links to folders are not followed.

    Leaves folders named in ``skip`` out. Calls ``check`` often: it may raise, to end the search.
    """
    found: list[SourceFile] = []
    unreadable: list[OSError] = []
    nameless = 0
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        check()
        folders[:] = [name for name in folders if name not in skip]
        for path in (f"{parent}{os.sep}{name}" for name in names if name.endswith(".py")):
            size = _size(path)
            if size is None:
                continue
            if _is_unicode(path):
                found.append(SourceFile(path, size))
            else:
                nameless += 1
    return Found(sorted(found), nameless, len(unreadable))


def _size(path: str) -> int | None:
    try:
        status = os.stat(path)  # noqa: PTH116 # a third of the time of Path.stat()
    except OSError:  # a link to nowhere, or just deleted
        return None
    # Reading a pipe would never end.
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
