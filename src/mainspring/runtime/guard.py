"""Guard: interrupts running tasks at their timeout, or when their claim is gone.

In the main thread, the exception is raised by a signal handler, which also ends a sleep, a read or
a wait for a lock. In another thread, CPython raises it when the task runs Python code again; in an
async task, it is raised at the next ``await``. A task that swallows the exception gets it again,
but not while it still handles it. If a task does not end, the supervisor kills the process.
"""

import ctypes
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from mainspring.backends.forking import end_child
from mainspring.backends.locks import renewed
from mainspring.backends.signal_handlers import handle
from mainspring.backends.stalls import Slot, slot_finders
from mainspring.core.jobs import Job
from mainspring.exceptions import TaskCancelled, TaskTimeout
from mainspring.runtime.board import Board, NoBoard, ticks

logger = logging.getLogger("mainspring")

_TICK: Final = 0.05  # seconds
_AGAIN: Final = 1_000_000  # microseconds
_TELLINGS: Final = 5  # exceptions raised in a task within its grace
_MOST_CHAINED: Final = 100
_SIGNAL: Final = signal.SIGRTMIN + 3 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1
_set_async_exception: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Running(NamedTuple):
    """One call that runs in a thread or in the event loop."""

    job: Job
    began: int
    """By :func:`~mainspring.runtime.board.ticks`."""
    timeout: int
    """In microseconds; 0 for none."""
    thread: int
    tell: Callable[[BaseException], None] | None
    """Raises an exception in an async task; None for a sync one."""


class Guard:
    """Watches the calls that run in this process."""

    def __init__(
        self, board: Board | NoBoard, grace: int = _TELLINGS * _AGAIN, slots: int = 1
    ) -> None:
        """``grace``: microseconds that a task has to end after the first exception.

        ``slots``: number of sync tasks that run at a time.
        """
        self.uses_signal = False
        """Whether sync tasks run in the main thread, and are interrupted by a signal."""
        self.in_main: Job | None = None
        """The job in the main thread. Set directly, because a method call would take longer."""
        self.running: dict[str, Running] = {}
        self.told: dict[str, BaseException] = {}
        self.is_watching = False
        self._told_at: dict[str, int] = {}
        self._sparing: dict[
            str, BaseException | None
        ] = {}  # with the exceptions to raise afterwards
        self._again = min(grace // _TELLINGS, _AGAIN)
        self._board = board
        self._slots = slots
        self._lock = renewed(threading.Lock())
        self._main_thread = 0
        self._watching = threading.Event()
        self._is_stopping = False
        self._is_child = False
        self._thread = threading.Thread(target=self._turn, name="mainspring-guard", daemon=True)

    def use_signal(self) -> None:
        """Interrupt tasks in the main thread by a signal. Called by the main thread."""
        handle(_SIGNAL, self._raise_in_main)
        self._main_thread = threading.get_ident()
        self.uses_signal = True

    def start(self) -> None:
        """Start the thread."""
        slot_finders.add(self._slot_of_caller)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        slot_finders.discard(self._slot_of_caller)
        self._is_stopping = True
        self._watching.set()
        self._thread.join()

    # Called by those that run tasks

    def watch(self) -> None:
        """Watch the running calls from now on, until none is left."""
        self.is_watching = True
        self._watching.set()

    def enter(
        self,
        job: Job,
        began: int,
        timeout: int,
        tell: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Watch a call that starts now, in the calling thread."""
        self.running[job.id] = Running(job, began, timeout, threading.get_ident(), tell)
        if not self.is_watching:
            self.watch()

    def leave(self, job_id: str) -> BaseException | None:
        """Stop watching a call, and return the exception that we raised in it, if any.

        After this returns, nothing is raised in the calling thread. In a process that the call has
        forked, it never returns.
        """
        self._end_if_child()
        running = self.running.get(job_id)
        if running is None and job_id not in self.told:
            return None
        with self._lock:
            self.running.pop(job_id, None)
            if running is not None and running.tell is None and job_id in self.told:
                _set_async_exception(ctypes.c_ulong(running.thread), None)
            self._told_at.pop(job_id, None)
            return self.told.pop(job_id, None)

    @contextmanager
    def sparing(self, job_id: str) -> Iterator[None]:
        """Defer exceptions for a call in the calling thread until the end of the block.

        For our own code that must not be interrupted. Another thread may run it for the call.
        """
        if not self._is_here(job_id):
            yield
            return
        try:
            with self._lock:
                self._sparing[job_id] = None
            yield
        finally:
            with self._lock:
                error = self._sparing.pop(job_id, None)
                if error is not None:
                    self.told[job_id], self._told_at[job_id] = error, ticks()
            if error is not None:
                raise error

    def _is_here(self, job_id: str) -> bool:
        here = threading.get_ident()
        job = self.in_main
        if job is not None and job.id == job_id:
            return here == self._main_thread
        running = self.running.get(job_id)
        return running is not None and running.tell is None and running.thread == here

    # Called in a process that a call has forked

    def end_here(self) -> None:
        """End this process when the call that forked it ends."""
        self._is_child = True
        self.told[""] = SystemExit()  # so that the code that runs the call leaves the guard

    def _end_if_child(self) -> None:
        if self._is_child:
            end_child(sys.exception())

    # Called by the guard's own thread, and by others

    def long_running(self, microseconds: int) -> list[Job]:
        """Return the jobs that have run for that long without being interrupted."""
        since = ticks() - microseconds
        return [
            running.job
            for running in self._all()
            if running.began <= since and running.job.id not in self.told
        ]

    def cancel(self, job_id: str) -> None:
        """Interrupt a task whose claim is gone: cancelled, or given to another worker."""
        if self._tell(job_id, TaskCancelled("The call was cancelled, or given to another worker.")):
            self._board.expire(job_id)

    def _all(self) -> list[Running]:
        found = list(self.running.values())
        job = self.in_main
        if job is not None and (started := self._board.started(job.id)) is not None:
            began, timeout = started.began, started.timeout
            found.append(Running(job, began, timeout, self._main_thread, None))
        return found

    def _tell(self, job_id: str, error: BaseException) -> bool:
        with self._lock:
            running = next((one for one in self._all() if one.job.id == job_id), None)
            if running is None or job_id in self.told:
                return False
            if job_id in self._sparing:
                self._sparing[job_id] = error
                return True
            return self._raise_in(running, error)

    def _tell_again(self, job_id: str) -> None:
        # Not while it cleans up: a second exception would interrupt the cleanup.
        with self._lock:
            running = next((one for one in self._all() if one.job.id == job_id), None)
            error = self.told.get(job_id)
            if running is None or error is None or job_id in self._sparing:
                return
            if running.tell is not None or not _handles(running.thread, type(error)):
                self._raise_in(running, type(error)(*error.args))

    def _raise_in(self, running: Running, error: BaseException) -> bool:
        # Return False if the call has just ended.
        job_id = running.job.id
        is_first = job_id not in self.told
        self.told[job_id], self._told_at[job_id] = error, ticks()
        if running.tell is not None:
            running.tell(error)
        elif running.thread == self._main_thread:
            if is_first and self.in_main is not running.job:  # leave() may not be called again
                self._told_at.pop(job_id, None)
                self.told.pop(job_id, None)
                return False
            signal.pthread_kill(running.thread, _SIGNAL)
        else:
            kind = ctypes.py_object(type(error))
            _set_async_exception(ctypes.c_ulong(running.thread), kind)
        return True

    def _slot_of_caller(self) -> Slot | None:
        thread = threading.get_ident()
        if thread == self._main_thread:
            job = self.in_main
        else:
            found = (one for one in list(self.running.values()) if one.thread == thread)
            job = next((one.job for one in found if one.tell is None), None)
        return None if job is None else Slot(self, self._slots, job)

    def _raise_in_main(self, *_: Any) -> None:
        job = self.in_main
        if job is None or (error := self.told.get(job.id)) is None:
            return
        if job.id in self._sparing:  # it has entered the block in the meantime
            self._told_at.pop(job.id, None)
            self._sparing[job.id] = self.told.pop(job.id)
        else:
            raise error

    def _turn(self) -> None:
        while not self._is_stopping:
            self._watching.wait()
            time.sleep(_TICK)
            if not self._all():
                self._watching.clear()
                self.is_watching = False
                if not self._all():
                    continue
                self.watch()
            now = ticks()
            for running in self._all():
                self._look_at(running, now)

    def _look_at(self, running: Running, now: int) -> None:
        told_at = self._told_at.get(running.job.id)
        if told_at is not None:
            if told_at + self._again <= now:
                self._tell_again(running.job.id)
        elif running.timeout and running.began + running.timeout <= now:
            seconds = running.timeout / 1e6
            self._tell(running.job.id, TaskTimeout(f"The call took longer than {seconds:g} s."))


def _handles(thread: int, kind: type[BaseException]) -> bool:
    """Return True if a thread is handling an exception of this kind, or one with it as context."""
    error = sys._current_exceptions().get(thread)  # documented, and the only way
    for _ in range(_MOST_CHAINED):
        if error is None or isinstance(error, kind):
            break
        error = error.__context__
    return isinstance(error, kind)
