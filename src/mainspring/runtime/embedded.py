"""Embedded workers: threads, or child processes, of the process that enqueues tasks run them."""

import atexit
import logging
import os
import threading
import time
from contextlib import suppress
from typing import Final

from mainspring.backends.base import MainspringBackend, mainspring_backend
from mainspring.backends.remote_storage import RemoteStorage
from mainspring.core import clock
from mainspring.core.jobs import Worker as WorkerIdentity
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.board import Board, NoBoard
from mainspring.runtime.children import kept_out
from mainspring.runtime.identity import new_worker
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.process_pool import ProcessPool
from mainspring.runtime.worker import Worker

logger = logging.getLogger("mainspring")

_GOODBYE: Final = 5.0  # seconds that running tasks get when the process ends
_POLL: Final = 0.01

_workers: dict[str, "EmbeddedWorker | ProcessPool"] = {}
_parents: list[object] = []  # inherited objects, which must never be freed
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
            with kept_out(self._worker, owns_process=False):
                self._worker.run()
        except Exception:
            logger.exception(
                "The embedded worker %s failed",
                identity.id,
                extra={"worker_id": identity.id},
            )
            self._give_up()

    def _give_up(self) -> None:
        # The process lives on, so others rescue the worker's jobs only when its lease ends.
        if self._worker is not None:
            self._worker.stop()
            with suppress(RuntimeError):  # it failed before their threads were started
                self._worker.loops.stop()
                self._worker.keeper.stop()

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

    @property
    def is_alive(self) -> bool:
        """Whether it runs in this process."""
        return self._pid == os.getpid() and self._thread.is_alive()

    @property
    def may_finish(self) -> bool:
        """Whether the process, before it ends, is to wait for what would be lost otherwise."""
        return isinstance(self._board, NoBoard)


def ensure_started(alias: str) -> None:
    """Start the embedded worker of a backend, or its processes, unless they run."""
    backend = mainspring_backend(alias)
    storage = backend.storage
    if isinstance(storage, RemoteStorage) and storage.owner != os.getpid():
        return  # this is one of its processes, or the child of one
    worker = _workers.get(alias)
    if worker is not None and worker.serves(backend):
        return
    with _lock:
        worker = _workers.get(alias)
        if worker is None or not worker.serves(backend):
            if isinstance(worker, ProcessPool):
                worker.give_way()
            _workers[alias] = _new_worker(backend)


def _new_worker(backend: MainspringBackend) -> EmbeddedWorker | ProcessPool:
    storage = backend.storage
    if isinstance(storage, RemoteStorage):
        return ProcessPool(backend, storage)
    return EmbeddedWorker(backend)


def stop_all() -> None:
    """Stop all embedded workers as the process ends; those in memory finish their work first."""
    with suppress(KeyboardInterrupt):
        for worker in _workers.values():
            if worker.may_finish:
                with suppress(StoreUnavailable):
                    _finish(worker)
            worker.stop(_GOODBYE)


def _finish(worker: EmbeddedWorker | ProcessPool) -> None:
    # Wait until nothing is ready or runs. What waits for a rate is like what is deferred: not
    # waited for.
    storage = worker.storage
    while worker.is_alive:
        now = clock.now()
        for map_id in storage.unfinished_maps():  # or its merges may be about to become ready
            storage.finish_map(map_id, now)
        stats = storage.stats()
        if not (stats.running or stats.ready or storage.admit(now).admitted):
            return
        time.sleep(_POLL)


def _forked() -> None:
    global _lock  # noqa: PLW0603 # another thread may have had it
    _lock = threading.Lock()
    _parents.append(dict(_workers))
    _workers.clear()


os.register_at_fork(after_in_child=_forked)
# Ahead of atexit, where concurrent.futures has ended its threads: those in which running async
# tasks use the database. Python's own modules register there, too, though not by a public name.
getattr(threading, "_register_atexit", atexit.register)(stop_all)
