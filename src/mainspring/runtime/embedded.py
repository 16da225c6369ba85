"""Embedded workers: threads that run tasks inside the process that enqueues them."""

import atexit
import logging
import os
import threading
import time
from contextlib import suppress
from typing import Final

from mainspring.backends.base import MainspringBackend, mainspring_backend
from mainspring.core.jobs import Worker as WorkerIdentity
from mainspring.runtime.board import Board, NoBoard
from mainspring.runtime.identity import new_worker
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.worker import Worker

logger = logging.getLogger("mainspring")

_GOODBYE: Final = 5.0  # seconds that running tasks get when the process ends
_POLL: Final = 0.01

_workers: dict[str, "EmbeddedWorker"] = {}
_lock = threading.Lock()


class EmbeddedWorker:
    """One worker in threads of this process."""

    def __init__(self, backend: MainspringBackend) -> None:
        self.storage = backend.storage
        self._pid = os.getpid()
        identity = new_worker()
        options = WorkerOptions(
            backend=backend.alias, processes=1, threads=backend.config.options.threads
        )
        self._board: Board | NoBoard = (
            Board.create(self.storage.identity, identity.id)
            if backend.supports_worker
            else NoBoard()
        )
        self._thread = threading.Thread(
            target=self._run,
            args=(backend, identity, options),
            name=f"mainspring-{backend.alias}",
            daemon=True,
        )
        self._worker: Worker | None = None
        self._thread.start()

    def _run(
        self, backend: MainspringBackend, identity: WorkerIdentity, options: WorkerOptions
    ) -> None:
        try:
            if isinstance(self._board, Board):
                self._board.come_alive()
            self._worker = Worker(backend, identity, options, self._board)
            self._worker.run()
        except Exception:
            logger.exception(
                "The embedded worker %s failed",
                identity.id,
                extra={"worker_id": identity.id},
            )

    def serves(self, backend: MainspringBackend) -> bool:
        """Whether this worker runs, in this process, for this backend's present settings."""
        return (
            self._thread.is_alive()
            and self._pid == os.getpid()
            and not self.storage.is_closed
            and self.storage is backend.storage
        )

    def stop(self, timeout: float) -> None:
        """Stop; wait up to ``timeout`` seconds for what runs."""
        if self._pid != os.getpid():  # forked: the thread is the parent's
            return
        if self._worker is not None:
            self._worker.stop()
        self._thread.join(timeout)

    def finish(self) -> None:
        """Wait until nothing is ready or runs; only for what would be lost otherwise."""
        while self._pid == os.getpid() and self._thread.is_alive():
            stats = self.storage.stats()
            if not stats.running and not stats.ready:
                return
            time.sleep(_POLL)


def ensure_started(alias: str) -> None:
    """Start the embedded worker of a backend unless it runs."""
    backend = mainspring_backend(alias)
    worker = _workers.get(alias)
    if worker is not None and worker.serves(backend):
        return
    with _lock:
        worker = _workers.get(alias)
        if worker is None or not worker.serves(backend):
            _workers[alias] = EmbeddedWorker(backend)


def stop_all() -> None:
    """Stop all embedded workers as the process ends; those in memory finish their work first."""
    with suppress(KeyboardInterrupt):
        for worker in _workers.values():
            if isinstance(worker._board, NoBoard):
                worker.finish()
            worker.stop(_GOODBYE)


# Ahead of atexit, where concurrent.futures has ended its threads: those in which running async
# tasks use the database. Python's own modules register there, too, though not by a public name.
getattr(threading, "_register_atexit", atexit.register)(stop_all)
