"""The virtual environments of the rivals, made once and kept in the user's cache."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from mainspring.bench.rivals.competitors import Competitor

_SECONDS_TO_INSTALL: Final = 600


class InstallError(Exception):
    """A rival could not be installed; says why, in one line."""


def cache_folder() -> Path:
    """Return the folder that holds the environments."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "mainspring-bench"


def install(competitor: Competitor) -> Path:
    """Return the Python of the competitor's environment, which is made if it is not there yet.

    Raises InstallError.
    """
    if competitor.is_ours:
        return Path(sys.executable)
    folder = cache_folder() / _folder_name(competitor)
    python, complete = folder / "bin" / "python", folder / "complete"
    if complete.exists() and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if _has_uv():
        _run("uv", "venv", "--quiet", "--python", sys.executable, folder)
        _run("uv", "pip", "install", "--quiet", "--python", python, *competitor.packages)
    else:
        _run(sys.executable, "-m", "venv", folder)
        _run(python, "-m", "pip", "install", "--quiet", *competitor.packages)
    complete.touch()
    return python


def _folder_name(competitor: Competitor) -> str:
    pins = hashlib.sha256(" ".join(competitor.packages).encode()).hexdigest()[:10]
    return f"{competitor.name}-{platform.python_version()}-{pins}"


def _has_uv() -> bool:
    # Asked, as what stands on the path may be a front that has no uv behind it.
    try:
        subprocess.run(
            ["uv", "--version"],  # noqa: S607
            check=True,
            capture_output=True,
            cwd=cache_folder(),
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    try:
        subprocess.run(  # noqa: S603
            words,
            check=True,
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_INSTALL,
            cwd=cache_folder(),  # away from a project whose uv settings would constrain a rival
        )
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        raise InstallError(f"{_said(words)} failed: {' '.join(lines[-3:])}") from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{_said(words)} took over {_SECONDS_TO_INSTALL} s") from error


def _said(words: list[str]) -> str:
    return " ".join([Path(words[0]).name, *words[1:3]])
