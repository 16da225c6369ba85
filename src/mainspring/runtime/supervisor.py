"""The supervisor: forks worker processes, restarts dead ones, forwards signals.

It never touches the store while it has children, so that nothing can hold it up.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Final, NoReturn

from mainspring.backends.base import mainspring_backend
from mainspring.backends.forking import fork, reap_orphans, status_of
from mainspring.backends.inherited import close_connections
from mainspring.backends.signal_handlers import STOP, give_back, handle, is_ignored
from mainspring.core import clock
from mainspring.core.clock import SECOND
from mainspring.exceptions import StoreUnavailable
from mainspring.maintenance.rescuer import LATE, registered, tell_rescued
from mainspring.runtime import lost
from mainspring.runtime.board import Board, ticks
from mainspring.runtime.crashes import dump_stacks, stop
from mainspring.runtime.identity import new_worker
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.worker_process import UNDRAINED, work

logger = logging.getLogger("mainspring")

_TICK: Final = 1.0  # seconds
_FIRST_BACKOFF: Final = 0.5
_SLOWEST_BACKOFF: Final = 30.0
_YOUNG: Final = 1.0  # seconds
_FORGIVEN: Final = 5  # children that die young, one after the other
CHANGED: Final = 3
"""The exit status for "files have changed, restart me", as in Django's autoreload."""


@dataclass(slots=True)
class _Child:
    board: Board
    started: float


class Supervisor:
    """Keeps the processes of one ``mainspring worker`` command running."""

    def __init__(self, options: WorkerOptions, watch_files: Callable[[], NoReturn] | None) -> None:
        self._options = options
        self._watch_files = watch_files
        self._watcher = 0
        self._watch_at = 0.0  # when to start the watcher
        self._children: dict[int, _Child] = {}
        self._starts: list[float] = [0.0] * options.processes  # when to fork the missing ones
        self._failures = 0
        self._stop_by: float | None = None
        self._is_forced = False
        self._must_rescue = False
        self._exit_status = 0
        self._grace = mainspring_backend(options.backend).config.options.grace
        self._next_end: float | None = None  # when the grace of the next task ends
        self._wakeup = os.pipe()

    def run(self) -> int:
        """Run until stopped or drained; return the exit status.

        Afterwards, the signal handlers of the process are restored.
        """
        woken_by = self._catch_signals()
        try:
            return self._run()
        finally:
            signal.set_wakeup_fd(woken_by)
            give_back()
            for descriptor in self._wakeup:
                os.close(descriptor)

    def _run(self) -> int:
        identity = self._identity()
        while self._children or self._starts:
            if self._watch_files is not None and time.monotonic() >= self._watch_at:
                self._start_watcher(self._watch_files)
            self._start_due(identity)
            self._sleep()
            self._reap()
            self._end_overdue()
            if self._stop_by is not None and time.monotonic() >= self._stop_by:
                self._kill()
            if self._must_rescue and not self._children and not self._starts:
                self._rescue_last(identity)
        if self._watcher:
            os.kill(self._watcher, signal.SIGKILL)
            os.waitpid(self._watcher, 0)
        return self._exit_status

    def _identity(self) -> str:
        return mainspring_backend(self._options.backend).storage.identity

    # Signals

    def _catch_signals(self) -> int:
        # Return the previous wakeup descriptor.
        for descriptor in self._wakeup:
            os.set_blocking(descriptor, False)
        woken_by = signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        handle(signal.SIGCHLD, lambda *_: None)  # ends the sleep
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or not is_ignored(number):  # by nohup
                handle(number, lambda number, _: self._stop(signal.Signals(number).name))
        return woken_by

    def _stop(self, why: str) -> None:
        if self._stop_by is not None:  # a second signal
            self._is_forced = True
            self._stop_by = 0.0
            return
        logger.info("Stopping (%s): running tasks have time to finish", why, extra={"why": why})
        self._stop_by = time.monotonic() + self._options.shutdown_timeout
        self._starts.clear()
        self._signal_children(STOP)

    def _kill(self) -> None:
        if not self._children:
            return
        logger.warning(
            "Ending %d processes at once: %s. What they ran will be run again",
            len(self._children),
            "a second signal came" if self._is_forced else "the shutdown ran out of time",
            extra={"processes": len(self._children)},
        )
        for child in self._children.values():
            child.board.mark_stopped()
        self._signal_children(signal.SIGKILL)
        self._stop_by = float("inf")
        self._exit_status = self._exit_status or 1

    def _signal_children(self, number: int) -> None:
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _sleep(self) -> None:
        now = time.monotonic()
        moments = [*self._starts, now + _TICK]
        if self._stop_by is not None:
            moments.append(self._stop_by)
        if self._next_end is not None:
            moments.append(self._next_end)
        connection.wait(self._wakers(), max(min(moments) - now, 0))
        with suppress(BlockingIOError):
            os.read(self._wakeup[0], 4096)

    def _wakers(self) -> list[Any]:
        # What ends the sleep when it is readable.
        return [self._wakeup[0]]

    def _end_overdue(self) -> None:
        # A task may not end when interrupted: in C code, in a loop that catches everything, in a
        # blocked event loop. Only a kill ends it; the other jobs of its process run elsewhere.
        deadlines = []
        for pid, child in self._children.items():
            deadline = child.board.first_deadline()
            if deadline is None:
                continue
            if deadline <= ticks() - self._grace:
                self._end(pid, child.board)
            else:
                deadlines.append(deadline)
        left = min(deadlines, default=None)
        self._next_end = None
        if left is not None:
            self._next_end = time.monotonic() + (left + self._grace - ticks()) / SECOND

    def _end(self, pid: int, board: Board) -> None:
        dump_stacks(pid, board)
        if not stop(pid):
            return
        # The process is stopped, so its journal does not change while the jobs to blame are marked.
        overdue = board.mark_overdue(ticks() - self._grace)
        if overdue:
            logger.error(
                "Killing worker %s, as %s did not end within %g s of being told to",
                board.worker_id,
                " and ".join(f"task id={job_id}" for job_id in overdue),
                self._grace / SECOND,
                extra={"worker_id": board.worker_id, "task_ids": overdue},
            )
        # If these jobs have ended in the meantime, the process continues.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if overdue else signal.SIGCONT)

    # Children

    def _start_due(self, identity: str) -> None:
        if self._stop_by is not None:
            self._starts = []  # starts that were added since it was told to stop
            return
        now = time.monotonic()
        due = [start for start in self._starts if start <= now]
        self._starts = [start for start in self._starts if start > now]
        for _ in due:
            if self._stop_by is None:
                self._start(identity)

    def _start(self, identity: str) -> None:
        worker = new_worker()
        try:
            board = Board.create(identity, worker.id)
        except OSError as error:  # for example, the disk is full
            self._starts.append(self._again_at(error))
            return

        supervisor = os.getpid()
        try:
            pid = self._fork(lambda: work(self._options, worker, board, supervisor))
        except OSError as error:  # too many processes, or too little memory, for now
            board.remove()
            board.close()
            self._starts.append(self._again_at(error))
            return
        self._children[pid] = _Child(board, time.monotonic())
        if self._stop_by is not None:  # stopped before the child could be signalled
            os.kill(pid, STOP)

    def _again_at(self, error: OSError) -> float:
        # Log why a process could not be started; return the time of the next try.
        self._failures = max(self._failures, _FORGIVEN) + 1
        pause = self._backoff()
        logger.error("No process can be started: %s. Retrying in %g s", error, pause)
        return time.monotonic() + pause

    def _start_watcher(self, watch_files: Callable[[], NoReturn]) -> None:
        self._watch_at = float("inf")
        try:
            self._watcher = self._fork(watch_files)
        except OSError as error:
            self._watch_at = self._again_at(error)

    def _fork(self, work: Callable[[], object]) -> int:
        close_connections()
        try:
            return fork(work)
        except OSError as error:
            error.strerror = f"fork() failed: {error.strerror}"
            raise

    def _reap(self) -> None:
        # Do not wait for children of other code, unless nobody else would.
        for pid in [self._watcher, *self._children]:
            if not pid or (status := status_of(pid)) is None:
                continue
            if pid == self._watcher:
                self._watcher = 0
                if self._stop_by is None and os.waitstatus_to_exitcode(status) == CHANGED:
                    self._exit_status = CHANGED
                    self._stop("files have changed")
            else:
                self._ended(self._children.pop(pid), status)
        if os.getpid() == 1:
            reap_orphans({self._watcher, *self._children})

    def _ended(self, child: _Child, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        was_ready = child.board.is_ready
        if code and code != UNDRAINED:
            # It may have died while asked for its stacks: the overdue jobs are to blame.
            child.board.mark_overdue(ticks() - self._grace)
            child.board.record_exit(status)
            self._must_rescue = True
            logger.error(
                "Worker %s ended with %s",
                child.board.worker_id,
                signal.Signals(-code).name if code < 0 else f"exit code {code}",
                extra={"worker_id": child.board.worker_id, "exit_code": code},
            )
        # A process that was killed after it came alive may have registered, and must be rescued.
        if not child.board.has_come_alive or (not code and not was_ready):
            child.board.remove()
        child.board.close()
        if self._stop_by is not None or (self._options.drain and not code):
            return
        now = time.monotonic()
        if code in {0, UNDRAINED} or (was_ready and now - child.started >= _YOUNG):
            self._failures = 0
        else:  # tasks may kill some young ones, which is not the worker's fault
            self._failures = max(self._failures, 0 if was_ready else _FORGIVEN) + 1
        self._starts.append(now + self._backoff())

    def _backoff(self) -> float:
        too_many = self._failures - _FORGIVEN
        return min(_FIRST_BACKOFF * 2.0 ** (too_many - 1), _SLOWEST_BACKOFF) if too_many > 0 else 0

    def _rescue_last(self, identity: str) -> None:
        # Without children, there may be no other process to do it for a while. While draining, the
        # others may have exited before they could claim the jobs of a dead one.
        self._must_rescue = False
        self._rescue(identity)
        if self._options.drain and self._stop_by is None:
            self._starts = [0.0] * self._options.processes

    def _rescue(self, identity: str) -> None:
        storage = mainspring_backend(self._options.backend).storage
        try:
            dead = lost.find_lost(identity)
            tell_rescued(storage, storage.rescue(clock.now(), dead))
            time.sleep(LATE)
            tell_rescued(storage, storage.rescue(clock.now(), dead))
            left = registered(storage)
            for worker in dead:
                if worker.worker_id not in left:  # others may have locked some of its jobs
                    lost.forget(identity, worker)
        except StoreUnavailable as error:
            logger.error("%s The next worker to start will rescue what was running.", error)  # noqa: TRY400
        finally:
            storage.close_thread()  # a child that is forked later must not inherit it
