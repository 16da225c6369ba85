"""The folder in which the workers of one user and machine leave what others read: their boards.

It lies in the temporary folder, where everybody can make a folder of any name first. So one that is
not the user's own is left alone, and another one taken.
"""

import hashlib
import logging
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger("mainspring")

_told: set[Path] = set()


def folder() -> Path:
    """Return the folder of this user; makes it if there is none. Raises ``OSError``."""
    usual = _usual()
    with suppress(FileExistsError):  # a file, or a link that leads nowhere
        usual.mkdir(mode=0o700, exist_ok=True)
    if _is_ours(usual):
        return usual
    _tell(usual)
    others = _others(usual)
    return others[0] if others else Path(tempfile.mkdtemp(prefix=f"{usual.name}-"))


def folders() -> list[Path]:
    """Return all folders that may be this user's; those who start at once may make two."""
    usual = _usual()
    return [usual] if _is_ours(usual) else _others(usual)


def digest(identity: str) -> str:
    """Return what stands in the names of files that belong to a store."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _usual() -> Path:
    return Path(tempfile.gettempdir()) / f"mainspring-{os.getuid()}"


def _others(usual: Path) -> list[Path]:
    return sorted(path for path in usual.parent.glob(f"{usual.name}-*") if _is_ours(path))


def _is_ours(path: Path) -> bool:
    # Whether it is a folder of this user, and nobody else can write to it.
    try:
        status = path.lstat()
    except OSError:
        return False
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return is_own and not status.st_mode & 0o022


def _tell(usual: Path) -> None:
    if usual not in _told:
        _told.add(usual)
        logger.warning(
            "%s is not a folder that only this user can write to; another one is used instead. "
            "Remove it, or set TMPDIR to a folder of this user's own",
            usual,
            extra={"folder": str(usual)},
        )
