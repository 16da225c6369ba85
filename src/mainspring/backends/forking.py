"""Forking: a child process that does one thing and ends, whatever its parent has set up."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, NoReturn

from mainspring.backends import log_queues
from mainspring.backends.inherited import (
    disown,
    forget_threads,
    hold_connections,
    leave_finalizers,
)
from mainspring.backends.signal_handlers import FOR_PARENT, STOP, handle, is_ignored, pass_over

logger = logging.getLogger("mainspring")

_UNKNOWN: Final = 1 << 8  # exit code 1


def fork(work: Callable[[], object]) -> int:
    """Run ``work`` in a child process, which then exits; return the child's process id.

    The exit status is that of a ``SystemExit`` raised by ``work``, or 1 for any other exception.
    The child does not clean up anything else of this process. SIGTERM ends the child, and it
    ignores SIGINT and SIGHUP, until ``work`` changes that. It does not use the parent's
    connections.
    """
    flush()
    held, listeners = hold_connections(), log_queues.running_listeners()
    # A signal between the fork and the child's own handlers must not look like the parent's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_PARENT)
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
        handle(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGTERM, STOP):
            handle(number, lambda *_: os._exit(0))
        for number in (signal.SIGINT, signal.SIGHUP):  # the parent decides what they mean
            handle(number, signal.SIG_IGN if is_ignored(number) else pass_over)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_PARENT)
        disown(held)
        forget_threads()
        leave_finalizers()
        log_queues.restart(listeners)
        work()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        logger.exception("A worker process failed")
    finally:
        with suppress(Exception):
            log_queues.end()
            logging.shutdown()
            flush()
        os._exit(status)


def status_of(pid: int) -> int | None:
    """Return the status of a child of this process, as ``waitpid`` does; None if it is running.

    If other code has waited for it, its status is unknown: returns that of a failure.
    """
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return _UNKNOWN
    return status if ended else None


def reap_orphans(own: Collection[int]) -> None:
    """Wait for ended children that are not in ``own``. Process 1 of a container inherits orphans.

    The supervisor needs the status of its ``own`` children. Orphans after one of these in the
    kernel's list are reaped by a later call.
    """
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, how)) is not None and found.si_pid not in own:
            os.waitpid(found.si_pid, os.WNOHANG)


def end_child(error: BaseException | None) -> NoReturn:
    """Exit this process, which a task has forked, with the status that Python uses for ``error``.

    The status is 0 without an error. Inherited exit handlers are not called.
    """
    status = 0
    try:
        if isinstance(error, SystemExit):
            status = _status_of(error)
        elif error is not None:
            status = 1
            sys.excepthook(type(error), error, error.__traceback__)
        with suppress(Exception):
            vars(threading)["_shutdown"]()  # waits for threads that the child started
        flush()
    finally:
        os._exit(status)


def _status_of(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return (leaving.code or 0) & 0xFF
    if sys.stderr is not None:
        sys.stderr.write(f"{leaving.code}\n")
    return 1


def flush() -> None:
    """Flush the standard streams."""
    # What is not written yet would be written by both.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            with suppress(OSError):  # its terminal or its reader is gone
                stream.flush()
