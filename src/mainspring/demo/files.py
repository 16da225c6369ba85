"""The source files that the demo reads."""

import os
import stat
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders that may be below the standard library's and are no part of it."""


class SourceFile(NamedTuple):
    """A file whose name ends in ``.py``."""

    path: str
    size: int
    """In bytes."""


def standard_library() -> Path:
    """Return the folder of the standard library of the Python that runs this."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(
    folder: Path, check: Callable[[], None], skip: frozenset[str] = frozenset()
) -> list[SourceFile]:
    """Return the Python files below ``folder``, by path; links to folders are not followed.

    Leaves folders named in ``skip`` out. Calls ``check`` often: it may raise, to end the search.
    """
    found: list[SourceFile] = []
    for parent, folders, names in os.walk(folder):
        check()
        folders[:] = [name for name in folders if name not in skip]
        found += _sources(parent, names)
    return sorted(found)


def _sources(parent: str, names: list[str]) -> Iterator[SourceFile]:
    for name in names:
        path = f"{parent}{os.sep}{name}"
        # A task's arguments are JSON, which has no place for a name that is not Unicode.
        if not name.endswith(".py") or not _is_unicode(path):
            continue
        try:
            status = os.stat(path)  # noqa: PTH116 # a third of the time of Path.stat()
        except OSError:  # a link to nowhere, or just deleted
            continue
        if stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            yield SourceFile(path, status.st_size)


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
