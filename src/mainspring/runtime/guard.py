"""Guard: tells running tasks to end, at their timeout or because their claim is gone.

A task in the main thread is told by a signal, whose handler raises in it: that ends a sleep, a read
and a lock's wait as well. One in another thread is told by CPython's own means, which take effect
when it runs Python code again; an async one, at its next ``await``. Who does not end then is ended
together with the process, by the supervisor.
"""

import ctypes
import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mainspring.core.jobs import Job
from mainspring.exceptions import TaskCancelled, TaskTimeout
from mainspring.runtime.board import Board, NoBoard, ticks

logger = logging.getLogger("mainspring")

_TICK: Final = 0.05  # seconds
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
    """How to tell an async task; None for a sync one."""


class Guard:
    """What runs in this process, until when."""

    def __init__(self, board: Board | NoBoard) -> None:
        self.uses_signal = False
        """Whether sync tasks run in the main thread, and are told by a signal."""
        self.in_main: Job | None = None
        """What runs there; set by whoever runs it, as a call takes longer than all the rest."""
        self.running: dict[str, Running] = {}
        self.told: dict[str, BaseException] = {}
        self.is_watching = False
        self._board = board
        self._lock = threading.Lock()
        self._main_thread = 0
        self._watching = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._turn, name="mainspring-guard", daemon=True)

    def use_signal(self) -> None:
        """Tell tasks in the main thread, which calls this, by a signal."""
        signal.signal(_SIGNAL, self._raise_in_main)
        self._main_thread = threading.get_ident()
        self.uses_signal = True

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._is_stopping = True
        self._watching.set()
        self._thread.join()

    # Called by those that run tasks

    def watch(self) -> None:
        """Look at what runs from now on, until nothing does."""
        self.is_watching = True
        self._watching.set()

    def enter(
        self,
        job: Job,
        began: int,
        timeout: int,
        tell: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Watch over a call that starts now, in the calling thread."""
        self.running[job.id] = Running(job, began, timeout, threading.get_ident(), tell)
        if not self.is_watching:
            self.watch()

    def leave(self, job_id: str) -> BaseException | None:
        """Watch no more, and return what the call was told, if it was.

        From when this returns, nothing is raised any more in the calling thread.
        """
        running = self.running.get(job_id)
        if running is not None:
            with self._lock:
                self.running.pop(job_id, None)
                if running.tell is None and job_id in self.told:
                    _set_async_exception(ctypes.c_ulong(running.thread), None)
        return self.told.pop(job_id, None)

    def take(self, job_id: str) -> BaseException | None:
        """Return what the call was told, if it was; another one of its row may be told anew.

        From when this returns, nothing is raised any more in the calling thread.
        """
        running = self.running.get(job_id)
        with self._lock:
            if running is not None and running.tell is None and job_id in self.told:
                _set_async_exception(ctypes.c_ulong(running.thread), None)
            return self.told.pop(job_id, None)

    # Called by the guard's own thread and by others that know of something

    def long_running(self, microseconds: int) -> list[Job]:
        """Return the jobs that have run for so long and were not told to end."""
        since = ticks() - microseconds
        return [
            running.job
            for running in self._all()
            if running.began <= since and running.job.id not in self.told
        ]

    def cancel(self, job_id: str) -> None:
        """Tell a task that its claim is gone: cancelled, or given to another worker."""
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
        # Once for each call: what it is told in the middle of ending would come out of nowhere.
        with self._lock:
            running = next((one for one in self._all() if one.job.id == job_id), None)
            if running is None or job_id in self.told:
                return False
            self.told[job_id] = error
            if running.tell is not None:
                running.tell(error)
            elif running.thread == self._main_thread:
                signal.pthread_kill(running.thread, _SIGNAL)
            else:
                kind = ctypes.py_object(type(error))
                _set_async_exception(ctypes.c_ulong(running.thread), kind)
        return True

    def _raise_in_main(self, *_: Any) -> None:
        job = self.in_main
        if job is not None and (error := self.told.get(job.id)) is not None:
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
                is_late = running.timeout and running.began + running.timeout <= now
                if is_late and running.job.id not in self.told:
                    seconds = running.timeout / 1e6
                    late = TaskTimeout(f"The call took longer than {seconds:g} s.")
                    self._tell(running.job.id, late)
