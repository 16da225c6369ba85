"""Processes of a competitor: started in sessions of their own, and ended with all they started."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

_SECONDS_TO_STOP: Final = 5
_ERROR: Final = re.compile(r"[\w.]+(Error|Exception)\b")  # as a traceback ends


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, piped: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """Run ``command`` for the time of the block; what it prints goes to the file ``log``."""
    pipe = subprocess.PIPE if piped else None
    with log.open("a") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=dict(environment),
            cwd=log.parent,
            text=True,
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def resident_bytes(processes: Sequence["subprocess.Popen[str]"]) -> int:
    """Return what all of ``processes`` and their children hold: shared pages count once (PSS)."""
    held = 0
    for process in processes:
        for one in _tree(process):
            with suppress(psutil.Error):
                held += one.memory_full_info().pss
    return held


def last_words(log: Path) -> str:
    """Return the last error that the file ``log`` tells, else its last line; "" if it is empty."""
    content = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    return next(reversed(errors or lines), "")


def _end(process: "subprocess.Popen[str]") -> None:
    tree = _tree(process)
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)
    for one in tree:  # Also those that moved to a group of their own.
        with suppress(psutil.Error):
            one.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _tree(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []
