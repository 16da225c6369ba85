"""Keeper: does what threads that run tasks cannot do while they run them."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mainspring.core import clock
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.board import ticks

if TYPE_CHECKING:
    from mainspring.runtime.worker import Worker

logger = logging.getLogger("mainspring")

_TICK: Final = 0.004  # seconds
_SETTLE_AFTER: Final = 4_000  # microseconds: with a tick and a write, 10 ms after the task ended
_RELEASE_AFTER: Final = 200_000  # microseconds that claimed jobs may wait to be started
_CLAIM_EVERY: Final = 100_000  # microseconds
_AFTER_FAILURE: Final = 1.0  # seconds


class Keeper:
    """A thread that talks to the store while tasks run: settles early, claims ahead, releases.

    Ticks only while something runs.
    """

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._watching = threading.Event()
        self._hurried = threading.Event()
        self._is_stopping = False
        self._next_claim = 0
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._turn, name="mainspring-keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self) -> None:
        """Tick from now on, until nothing runs."""
        if not self._watching.is_set():
            self._watching.set()

    def claim_ahead(self) -> None:
        """Have the next jobs claimed now, while the last ones run."""
        self._hurried.set()

    def stop(self) -> None:
        """End the thread after its present tick."""
        self._is_stopping = True
        self._watching.set()
        self._thread.join()

    def _turn(self) -> None:
        pause = threading.Event()
        while not self._is_stopping:
            self._watching.wait()
            is_hurried = self._hurried.wait(_TICK)
            if is_hurried:  # else it may have been set just now
                self._hurried.clear()
            if not self._worker.is_busy:
                self._watching.clear()
                if not self._worker.is_busy:
                    continue
                self._watching.set()
            try:
                if is_hurried:
                    self._exchange(self._worker.claim_ahead)
                else:
                    self._tick(ticks())
            except StoreUnavailable:  # logged by the worker
                pause.wait(_AFTER_FAILURE)
            except Exception:  # if it matters, the worker's own thread ends the process
                logger.exception("The keeper failed; it goes on", extra={"loop": "Keeper"})
                pause.wait(_AFTER_FAILURE)
        self._worker.storage.close_thread()

    def _exchange(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except StoreUnavailable:
            raise
        except BaseException as error:
            self._failure = error
            raise

    def require_sound(self) -> None:
        """Raise if an exchange has failed in this thread: its claimed jobs would never run."""
        if self._failure is not None:
            raise RuntimeError("The keeper failed during a claim") from self._failure

    def _tick(self, now: int) -> None:
        worker = self._worker
        worker.storage.release_unanswered(worker.identity)
        worker.rows.tend(now, worker.is_stopping)
        finished_at = worker.holdings.oldest_finished_at()
        # Overdue, or in the future because the clock was set back.
        is_old = finished_at is not None and abs(clock.now() - finished_at) > _SETTLE_AFTER
        if is_old or worker.holdings.settler.is_due:
            self._exchange(worker.settle)
        if worker.has_leftovers and now - worker.claimed_at > _RELEASE_AFTER:
            worker.release_waiting()
            self._next_claim = now + 10 * _CLAIM_EVERY
        elif worker.is_occupied and now >= self._next_claim:
            self._next_claim = now + _CLAIM_EVERY
            self._exchange(worker.claim_async)
