"""Crashes: has a worker process say, as it dies, where it was and by whose doing."""

import faulthandler
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from mainspring.runtime.board import Board, Started

DUMP: Final = signal.SIGRTMIN + 4 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
_PATIENCE: Final = 0.2  # seconds that a hung process has to write its stacks
_STOPPING: Final = 1.0  # seconds
_MOST: Final = 20_000  # characters of a stack
_SECTION: Final = re.compile(r"^(Current thread|Thread) 0x([0-9a-f]+)", re.MULTILINE)

# Kept open, because faulthandler knows them only by their descriptor.
_files: list[Any] = []
_exits: list[tuple[Any, Any]] = []
"""Our replacement of ``os._exit``, and the original."""


def leave_traces(board: Board) -> None:
    """Make this process write its stacks on a crash or on request, and record what exits it.

    faulthandler writes from C without the GIL, so it works even during code that never releases it.
    """
    file = board.stacks_path.open("ab", buffering=0)
    _files.append(file)
    faulthandler.enable(file)
    faulthandler.register(DUMP, file)
    end_process, process = os._exit, os.getpid()

    def note_and_exit(status: int) -> None:
        if os.getpid() == process:
            board.record_exiting(threading.get_ident())
        end_process(status)

    _exits.append((note_and_exit, end_process))
    os._exit = note_and_exit  # type: ignore[assignment] # what a task may call to end the process


def leave_no_traces() -> None:
    """Restore ``os._exit`` in a process that a task has forked.

    faulthandler then writes to standard error.
    """
    for ours, before in _exits:
        if os._exit is ours:
            os._exit = before
    faulthandler.unregister(DUMP)
    faulthandler.disable()
    with suppress(RuntimeError, ValueError, OSError, AttributeError):  # there is no such stream
        faulthandler.enable()
    while _files:
        _files.pop().close()


def dump_stacks(pid: int, board: Board) -> None:
    """Make a process that does not respond write its stacks; wait a moment for them."""
    before = len(board.stacks())
    try:
        os.kill(pid, DUMP)
    except ProcessLookupError:
        return
    end = time.monotonic() + _PATIENCE
    last = before
    while time.monotonic() < end:
        time.sleep(0.01)
        size = len(board.stacks())
        if size > before and size == last:  # all of it
            return
        last = size


def stop(pid: int) -> bool:
    """Stop a child, so that it writes no more. Return True if it is stopped and alive."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + _STOPPING
        how = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        while time.monotonic() < end:
            found = os.waitid(os.P_PID, pid, how)
            if found is not None:
                return found.si_code == os.CLD_STOPPED
            time.sleep(0.001)
        return True  # it waits for a disk, and will stop before it does anything else
    return False


def culprits(board: Board, running: Mapping[str, Started]) -> dict[str, Started]:
    """Return the jobs that took their process down; if unknown, all that were running."""
    thread = board.exiting_thread or _crashed_thread(board.stacks())
    found = {job_id: one for job_id, one in running.items() if thread and one.thread == thread}
    stepping = board.stepping()
    if len(found) > 1 and stepping in found:  # of all that are in the event loop
        found = {stepping: found[stepping]}
    return found or dict(running)


def stack_of(stacks: str, thread: int) -> str:
    """Return the last stack of one thread that was written; an empty string if there is none."""
    found = ""
    sections = list(_SECTION.finditer(stacks))
    ends = [*(following.start() for following in sections[1:]), len(stacks)]
    for section, end in zip(sections, ends, strict=False):
        if int(section[2], 16) == thread:
            found = stacks[section.start() : end]
    return found[:_MOST]


def _crashed_thread(stacks: str) -> int:
    if "Fatal Python error" not in stacks:
        return 0
    last = stacks.rpartition("Fatal Python error")[2]
    current = next((one for one in _SECTION.finditer(last) if one[1].startswith("Current")), None)
    return 0 if current is None else int(current[2], 16)
