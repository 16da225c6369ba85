"""Handle files of workers that this version cannot read: log them once, or rename them."""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from mainspring.runtime import proof_of_life

logger = logging.getLogger("mainspring")

_PATIENCE: Final = 60.0  # seconds until a file must be complete

_told: set[Path] = set()


def tell_once(path: Path, problem: BaseException | str) -> None:
    """Log the problem of a file, once in this process."""
    if path not in _told:
        _told.add(path)
        logger.warning("%s is ignored: %s", path, problem, extra={"path": str(path)})


def put_aside(path: Path, problem: BaseException) -> None:
    """Rename a damaged file whose process is gone, so that it is not read again.

    The jobs of its worker are rescued when its lease has expired.
    """
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > _PATIENCE and not _is_locked(path):
            aside = path.with_name(f"damaged-{path.name}")
            path.rename(aside)
            logger.error("%s is set aside: %s", aside, problem, extra={"path": str(aside)})
            return
    tell_once(path, problem)


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return not proof_of_life.is_over(descriptor)
    finally:
        os.close(descriptor)
