"""Forking: a child process that does one thing and ends, whatever its parent has set up."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from django.db import connections

logger = logging.getLogger("mainspring")

_FOR_PARENT: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

_inherited: list[Any] = []


def fork(work: Callable[[], object]) -> int:
    """Have ``work`` done in a child process, which ends with it; return the child's id.

    The child ends with the status of a ``SystemExit`` of ``work``, with 1 where that raises
    anything else; nothing else of this process is ended or cleaned up there. SIGTERM ends it, and
    it ignores SIGINT and SIGHUP, until ``work`` says otherwise.
    """
    _flush()
    # A signal between the fork and the child's own handlers must not look like the parent's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_PARENT)
    try:
        pid = os.fork()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        for number in (signal.SIGINT, signal.SIGHUP):  # the parent says what they mean
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_PARENT)
        work()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        logger.exception("A worker process failed")
    finally:
        with suppress(Exception):
            logging.shutdown()
            _flush()
        os._exit(status)


def disown_connections() -> None:
    """Have a child process use none of the database connections of its parent.

    To close one would end the parent's: they are kept, and nobody gets them.
    """
    for connected in connections.all(initialized_only=True):
        _inherited.append(connected)
        del connections[connected.alias]


def _flush() -> None:
    # What is not written yet would be written by both.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
