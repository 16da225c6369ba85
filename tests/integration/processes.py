"""The processes of a site: found, killed and frozen."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from subprocess import Popen

import psutil

from .databases import SiteDatabase
from .waiting import wait_until


def children(process: Popen[str]) -> list[psutil.Process]:
    """Return the living processes that a supervisor has forked."""
    with suppress(psutil.NoSuchProcess):
        return [
            child
            for child in psutil.Process(process.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE
        ]
    return []


def kill_tree(process: Popen[str]) -> None:
    """Kill a process and all that share its session, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    wait_until(lambda: not _group(process.pid), what=f"the end of group {process.pid}")


def _group(leader: int) -> list[int]:
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def freeze(data: SiteDatabase, freeze: Callable[[], object], thaw: Callable[[], object]) -> int:
    """Freeze processes, but not in the middle of a write to SQLite's file.

    Such a one keeps all others from writing, and from taking over, until it goes on: it is thawed
    and frozen anew. Return how often that was so.
    """
    freeze()
    found = 0
    while data.is_locked():
        found += 1
        thaw()
        wait_until(lambda: not data.is_locked(), 60, "the end of a write")
        freeze()
    return found
