"""The worker: ``manage.py mainspring worker`` as a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_GRACE: Final = 5  # seconds that running tasks get to finish
_POLL: Final = 0.02  # seconds


class WorkerEnded(Exception):
    """The worker ended by itself; the text says how, with the end of its log."""


class WorkerProcess:
    """A worker on the project in ``folder``, with its log in a file there."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.log = folder / "worker.log"
        temporary = folder / "tmp"
        temporary.mkdir()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 # all of it is ours
                [
                    sys.executable,
                    str(folder / "manage.py"),
                    "mainspring",
                    "worker",
                    f"--processes={processes}",
                    f"--shutdown-timeout={_GRACE}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Not reached by Ctrl-C, which the demo passes on in its own time.
                start_new_session=True,
                # So that what a killed worker leaves is removed with the folder.
                env={**os.environ, "TMPDIR": str(temporary)},
            )

    def check(self) -> None:
        """Raise :class:`WorkerEnded` if it no longer runs."""
        code = self._process.poll()
        if code is not None:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
            raise WorkerEnded(f"The worker ended {how}.\n{self.log_tail()}")

    def log_tail(self, most: int = 15) -> str:
        """Return the last lines of its log, ``most`` of them at most, with a heading."""
        with self.log.open(encoding="utf-8", errors="replace") as file:
            lines = deque(file, most)
        if not lines:
            return "Its log is empty."
        return "The end of its log:\n" + "".join(f"  {line}" for line in lines).rstrip()

    def stop(self, is_hurried: Callable[[], bool]) -> None:
        """Have it finish what runs; end it at once if that takes long or ``is_hurried()``."""
        self._process.terminate()
        end = time.monotonic() + _GRACE + 1
        while self._process.poll() is None and time.monotonic() < end and not is_hurried():
            time.sleep(_POLL)
        # Its processes form a group, which outlives it only where it was killed.
        with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, for zombies
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._await_group()

    def _await_group(self) -> None:
        # Others' children: there is no waiting for them but looking. Raises ProcessLookupError.
        end = time.monotonic() + 1
        while time.monotonic() < end:
            os.killpg(self._process.pid, 0)
            time.sleep(_POLL)
