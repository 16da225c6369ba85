"""Forking: a child process that does one thing and ends, whatever its parent has set up."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from mainspring.backends.inherited import disown, forget_threads, hold_connections

logger = logging.getLogger("mainspring")

_FOR_PARENT: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def fork(work: Callable[[], object]) -> int:
    """Have ``work`` done in a child process, which ends with it; return the child's id.

    The child ends with the status of a ``SystemExit`` of ``work``, with 1 where that raises
    anything else; nothing else of this process is ended or cleaned up there. SIGTERM ends it, and
    it ignores SIGINT and SIGHUP, until ``work`` says otherwise. It has no connection of the parent.
    """
    _flush()
    held = hold_connections()
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
        disown(held)
        forget_threads()
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


def _flush() -> None:
    # What is not written yet would be written by both.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            with suppress(OSError):  # its terminal or its reader is gone
                stream.flush()
