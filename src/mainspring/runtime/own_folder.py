"""The folder with the boards of all workers of one user and machine.

It is in the temporary folder, where another user can create a folder of that name first. A folder
that does not belong to this user is left alone, and another one is used.
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
    """Return the folder of this user, and create it if necessary. Raises ``OSError``."""
    usual = _usual()
    with suppress(FileExistsError):  # a file, or a link that leads nowhere
        usual.mkdir(mode=0o700, exist_ok=True)
    if _is_ours(usual):
        return usual
    _tell(usual)
    others = _others(usual)
    return others[0] if others else Path(tempfile.mkdtemp(prefix=f"{usual.name}-"))


def folders() -> list[Path]:
    """Return all folders of this user: workers that start at the same time may create two."""
    usual = _usual()
    return [usual] if _is_ours(usual) else _others(usual)


def digest(identity: str) -> str:
    """Return the part of file names that identifies a store."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _usual() -> Path:
    return Path(tempfile.gettempdir()) / f"mainspring-{os.getuid()}"


def _others(usual: Path) -> list[Path]:
    return sorted(path for path in usual.parent.glob(f"{usual.name}-*") if _is_ours(path))


def _is_ours(path: Path) -> bool:
    # True if it is a folder of this user that no other user can write to.
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
            "%s is not a folder that only this user can write to; using another one instead. "
            "Remove it, or set TMPDIR to a folder of this user's own",
            usual,
            extra={"folder": str(usual)},
        )
