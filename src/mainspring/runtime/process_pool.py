"""ProcessPool: child processes that run the tasks of a queue in memory, instead of threads.

One child is a supervisor, as with the command ``mainspring worker``: it forks the processes that
run tasks, restarts dead ones and kills those whose tasks do not end when interrupted. So the
process that enqueues, which may have threads, usually forks only once, for the first call.
"""

import gc
import logging
import math
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from multiprocessing import connection
from operator import is_
from typing import Any, Final, NoReturn

from mainspring.backends.base import MainspringBackend
from mainspring.backends.forking import fork
from mainspring.backends.inherited import forget_exit_handlers
from mainspring.backends.remote_storage import RemoteStorage
from mainspring.backends.signal_handlers import handle
from mainspring.core import registry
from mainspring.runtime.boards import boards
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.supervisor import Supervisor

logger = logging.getLogger("mainspring")

_AFTER_FAILURE: Final = 1.0  # seconds until a supervisor that has died is replaced
_HEARD: Final = 1.0  # seconds after which its processes will have had a signal
_INTERACTIVE: Final = "__main__."


class ProcessPool:
    """The processes of one backend alias, as its settings have them."""

    def __init__(self, backend: MainspringBackend, storage: RemoteStorage) -> None:
        self.storage = storage
        self._alias = backend.alias
        self._options = WorkerOptions(
            backend=backend.alias,
            processes=backend.config.options.processes,
            threads=backend.config.options.threads,
            shutdown_timeout=math.inf,  # this process says when it is over
        )
        self._pid = os.getpid()
        self._tasks = registry.tasks()
        storage.start()
        self._lock = threading.Lock()
        self._is_stopping = False
        self._supervisor = 0
        self._start()
        self._watcher = threading.Thread(
            target=self._watch, name=f"mainspring-{backend.alias}", daemon=True
        )
        self._watcher.start()

    def _start(self) -> None:
        try:
            self._supervisor = fork(partial(self._supervise, os.getpid()))
        except OSError as error:  # too many processes, or too little memory, for now
            logger.error(  # noqa: TRY400 # one line is enough
                "The processes of TASKS[%r] cannot be started for now: fork() failed: %s",
                self._alias,
                error,
                extra={"backend": self._alias},
            )

    def _supervise(self, parent: int) -> NoReturn:
        gc.freeze()  # do not collect the objects of the parent
        forget_exit_handlers()
        self.storage.close_thread()
        self.storage.end_process_with_it()
        sys.exit(_PoolSupervisor(self._options, self.storage, parent).run())

    def _watch(self) -> None:
        while True:
            if self._supervisor and not self._wait():
                return
            time.sleep(_AFTER_FAILURE)
            with self._lock:
                if self._is_over:
                    return
                self._start()

    def _wait(self) -> bool:
        # Wait until the supervisor has died. Return False if it was asked to end.
        with suppress(ChildProcessError):  # other code waits for all children
            os.waitid(os.P_PID, self._supervisor, os.WEXITED | os.WNOWAIT)
        with self._lock:  # until here, no other process can have its id
            with suppress(ChildProcessError):
                os.waitpid(self._supervisor, 0)
            self._supervisor = 0
            if self._is_over:
                return False
        logger.error(
            "The supervisor of the processes of TASKS[%r] has died; another one is started",
            self._alias,
            extra={"backend": self._alias},
        )
        return True

    @property
    def _is_over(self) -> bool:
        return self._is_stopping or self.storage.is_closed or _is_gone(self.storage)

    # What embedded workers have in common

    @property
    def is_alive(self) -> bool:
        """Whether its processes run, in this process."""
        return self._pid == os.getpid() and self._watcher.is_alive()

    @property
    def may_finish(self) -> bool:
        """Whether the process, before it ends, is to wait for what would be lost otherwise.

        Not where Ctrl-C ends it.
        """
        return not isinstance(getattr(sys, "last_value", None), KeyboardInterrupt)

    def serves(self, backend: MainspringBackend) -> bool:
        """Whether it runs, in this process, for this backend's present settings and tasks."""
        return (
            self.is_alive
            and not self.storage.is_closed
            and self.storage is backend.storage
            and self._knows_tasks()
        )

    def _knows_tasks(self) -> bool:
        # The processes can import modules that were imported since. Tasks that were declared since,
        # or again, at a prompt or in a notebook are known only to a new fork of this process.
        tasks = registry.tasks()
        if len(tasks) == len(self._tasks) and all(map(is_, tasks, self._tasks)):
            return True
        known = set(map(id, self._tasks))
        new = [task for task in tasks if id(task) not in known]
        if any(task.module_path.startswith(_INTERACTIVE) for task in new):
            return False
        self._tasks = tasks
        return True

    def start_no_more(self) -> None:
        """Have its processes end when what they run has ended; they give the rest back."""
        self._is_stopping = True
        self._signal()

    def give_way(self) -> None:
        """Have its processes start nothing more from when this returns."""
        self.start_no_more()
        self._watcher.join(_HEARD)

    def stop(self, timeout: float) -> None:
        """Stop; wait up to ``timeout`` seconds for what runs, and end it then."""
        if self._pid != os.getpid():  # forked: they are the parent's
            return
        self.start_no_more()
        self._watcher.join(timeout)
        if self._watcher.is_alive():
            self._signal()  # for the second time: now
            self._watcher.join(timeout)
        remove_boards(self.storage.identity)

    def _signal(self) -> None:
        with self._lock:
            if self._supervisor:
                os.kill(self._supervisor, signal.SIGTERM)


class _PoolSupervisor(Supervisor):
    """Ends with its parent, however that ends. Ignores SIGINT and SIGHUP."""

    def __init__(self, options: WorkerOptions, storage: RemoteStorage, parent: int) -> None:
        super().__init__(options, None)
        self._storage = storage
        self._parent = parent

    def _catch_signals(self) -> int:
        woken_by = super()._catch_signals()
        for number in (signal.SIGINT, signal.SIGHUP):
            handle(number, signal.SIG_IGN)
        return woken_by

    def _wakers(self) -> list[Any]:
        return [*super()._wakers(), self._storage.control]

    def _sleep(self) -> None:
        super()._sleep()
        if os.getppid() != self._parent or _is_gone(self._storage):
            self._signal_children(signal.SIGKILL)
            for pid in self._children:
                os.waitpid(pid, 0)
            remove_boards(self._storage.identity)
            os._exit(0)


def _is_gone(storage: RemoteStorage) -> bool:
    # Nothing is ever sent that way: it is readable when nobody is at its other end.
    return bool(connection.wait([storage.control], 0))


def remove_boards(identity: str) -> None:
    """Remove the boards of all workers on a store that is no more."""
    for board in boards(identity):
        board.remove()
        board.close()
