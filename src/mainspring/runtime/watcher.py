"""``--reload``: one process exits when a file changes, and another one then restarts it."""

import os
import signal
import subprocess
import sys
import time
from typing import Any, Final, NoReturn

from django.utils import autoreload

from mainspring.backends.signal_handlers import give_back, handle, is_ignored
from mainspring.runtime.supervisor import CHANGED

_INTERVAL: Final = 1.0  # seconds


class Reloader:
    """Runs this command in a separate process, and restarts it when code has changed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False

    def run(self) -> int:
        """Run until the command ends for another reason; return its exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or not is_ignored(number):  # by nohup
                handle(number, self._stop)
        try:
            return self._run()
        finally:
            give_back()

    def _run(self) -> int:
        status = self._run_once()
        while status == CHANGED:
            status = self._run_once()
            if status > 0 and status != CHANGED and not self._is_stopping:
                # What was changed does not even start: half an edit, most probably.
                sys.stderr.write(f"Exit status {status}; starting anew when code changes.\n")
                status = self._wait_for_change()
        return status

    def _run_once(self) -> int:
        if self._is_stopping:
            return 0
        environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
        self._process = subprocess.Popen(autoreload.get_child_arguments(), env=environment)  # noqa: S603
        status = self._process.wait()
        self._process = None
        return status

    def _wait_for_change(self) -> int:
        changes = _Changes()
        while not self._is_stopping:
            if changes.look():
                return CHANGED
            time.sleep(_INTERVAL)
        return 0

    def _stop(self, number: int, _frame: Any) -> None:
        self._is_stopping = True
        # Ctrl-C in a terminal reaches the other process, too; twice would end it at once.
        if self._process is not None and not (number == signal.SIGINT and _is_in_terminal()):
            self._process.terminate()


def is_reloaded() -> bool:
    """Whether this process is one that a :class:`Reloader` has started."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def watch_files() -> NoReturn:
    """Look at all imported modules' files once a second; exit with status 3 when one changed."""
    changes = _Changes()
    supervisor = os.getppid()
    while os.getppid() == supervisor:
        if changes.look():
            sys.exit(CHANGED)
        time.sleep(_INTERVAL)
    sys.exit(0)


class _Changes:
    def __init__(self) -> None:
        self._reloader = autoreload.StatReloader()
        self._seen: dict[object, float] = {}

    def look(self) -> bool:
        """Return whether a file has changed since the first look."""
        return any(
            self._seen.setdefault(path, changed_at) != changed_at
            for path, changed_at in self._reloader.snapshot_files()
        )


def _is_in_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
