"""Run a worker process that a supervisor has forked, from start to exit."""

import signal
import sys
from dataclasses import replace
from typing import Any, Final, NoReturn

from mainspring.backends.base import mainspring_backend
from mainspring.backends.signal_handlers import STOP, handle
from mainspring.core.jobs import Worker as WorkerIdentity
from mainspring.runtime import dispositions
from mainspring.runtime.board import Board
from mainspring.runtime.children import kept_out
from mainspring.runtime.crashes import leave_traces
from mainspring.runtime.leaving import Leaving
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.upkeep import Upkeep
from mainspring.runtime.worker import Worker
from mainspring.signals import WorkerProcess, worker_process_started, worker_process_stopping

UNDRAINED: Final = 4
"""The exit status of a process to be replaced before its queues are drained."""


def work(
    options: WorkerOptions, identity: WorkerIdentity, board: Board, supervisor: int
) -> NoReturn:
    """Run a worker in this process until it is stopped, then exit.

    ``supervisor`` is the process that has forked this one.
    """
    board.come_alive()
    backend = mainspring_backend(options.backend)
    leave_traces(board)
    # Before the initial state of tasks is recorded, because receivers may change it.
    sent = {"sender": type(backend), "details": WorkerProcess(identity.id, backend.alias)}
    worker_process_started.send_robust(**sent)
    worker = Worker(backend, identity, replace(options, is_daemonic=False), board)
    if worker.threads is None:
        worker.guard.use_signal()
    worker.loops.maintenance.add(Upkeep(worker, supervisor))
    leaving = Leaving(identity.id, options.shutdown_timeout)

    def stop(*_: Any) -> None:
        leaving.told()
        worker.stop()

    for number in (signal.SIGTERM, STOP):
        handle(number, stop)
    dispositions.keep()
    with kept_out(worker, owns_process=True):
        worker.run()
        status = UNDRAINED if options.drain and not worker.is_drained else 0
        leaving.leave(lambda: worker_process_stopping.send_robust(**sent), status)
    sys.exit(status)
