"""One worker process: claims jobs, has them run, settles what came of them."""

import threading
import time
from collections.abc import Sequence
from random import uniform
from typing import Final

from mainspring.backends.base import MainspringBackend
from mainspring.core import clock
from mainspring.core.jobs import Job, Outcome
from mainspring.core.jobs import Worker as WorkerIdentity
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime.atomic import Atomic
from mainspring.runtime.blockers import Blockers
from mainspring.runtime.board import Board, NoBoard, ticks
from mainspring.runtime.executor import Executor
from mainspring.runtime.guard import Guard
from mainspring.runtime.holdings import Holdings
from mainspring.runtime.inline import InlineLane
from mainspring.runtime.keeper import Keeper
from mainspring.runtime.lanes import AsyncLane, ThreadLane, Waiting
from mainspring.runtime.loops import Loops
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.pace import Pace
from mainspring.runtime.row_runner import RowRunner
from mainspring.runtime.telling import Telling

_IDLE: Final = 1.0  # seconds until an idle worker looks by itself
_LOOK: Final = 0.1  # seconds until a busy worker looks for more async work by itself
_SEARCH: Final = 100  # jobs among which to look for sync ones while the event loop is full
_SEARCH_EVERY: Final = 1_000_000  # microseconds
_FIRST_RETRY: Final = 0.1  # seconds after the store failed
_SLOWEST_RETRY: Final = 5.0


class Worker:
    """Runs tasks in the calling thread, in threads or in an event loop, until told to stop.

    Every transition of a job goes through the storage verbs; see docs/reference/states.md.
    """

    def __init__(
        self,
        backend: MainspringBackend,
        identity: WorkerIdentity,
        options: WorkerOptions,
        board: Board | NoBoard,
    ) -> None:
        self.identity = identity
        self.options = options
        self.storage = backend.storage
        self.board = board
        self.guard = Guard(board, backend.config.options.grace, options.threads)
        self.executor = Executor(backend, identity, board, self.guard)
        self.pace = Pace()
        self.threads = (
            ThreadLane(self.executor, self._done, self._freed, options.threads, options.is_daemonic)
            if options.threads > 1
            else None
        )
        self.waiting = self.threads.waiting if self.threads is not None else Waiting()
        self.coroutines = AsyncLane(
            self.executor,
            self._done,
            self._freed,
            options.async_concurrency,
            options.is_daemonic,
        )
        self._telling = Telling(identity.id)
        self._blockers = Blockers(self.storage)
        self.holdings = Holdings(
            self.storage,
            identity,
            board,
            self._telling,
            options.draw_max_tasks(),
            lambda: self.loops.maintenance.hurry(self.loops.stager),
        )
        self.inline = InlineLane(self.executor, self.waiting, self.holdings.finished, self.pace)
        if backend.supports_atomic_tasks:
            self.executor.atomic = self._new_atomic()
        self.rows = self.executor.rows = self._new_rows(backend)
        self._lanes = [lane for lane in (self.threads, self.coroutines) if lane is not None]
        self.claimed_at = 0
        """When it last claimed what waits now, by :func:`ticks`."""
        self.is_drained = False
        self._has_swept = False
        self._async_share = 0.0
        self._next_search = 0
        self._exchanging = threading.Lock()
        self._nudged = threading.Event()
        self._stopping = False
        self.keeper = Keeper(self)
        self.loops = Loops(self, backend)

    def _new_rows(self, backend: MainspringBackend) -> RowRunner:
        return RowRunner(
            self.executor,
            self.storage,
            self.identity,
            self.board,
            self.guard,
            self._telling,
            self._settled,
            backend.config.options.max_payload,
        )

    def _new_atomic(self) -> Atomic:
        is_inline = self.threads is None
        return Atomic(
            self.executor,
            self.storage,
            self.board,
            self._telling,
            self.holdings.finished.append if is_inline else self._done,
            self._settled,
            self.waiting if is_inline else None,
        )

    # Turning

    def run(self) -> None:
        """Work until :meth:`stop`, or until nothing is left with ``drain``; then clean up.

        If this raises, the process must end: others rescue its jobs only after its death.
        """
        self._register()
        self.storage.wait_for_work(0)  # can be woken from now on, before the first looks
        self.keeper.start()
        self.guard.start()
        self.loops.start()
        while not self._is_done():
            self._turn()
        self._wind_down()
        self.keeper.stop()
        self.guard.stop()
        self.loops.stop()
        self._retire()

    def stop(self) -> None:
        """Have the worker finish what runs, release the rest and end.

        Takes no lock, so that a signal handler can call it in the middle of anything.
        """
        self._stopping = True
        for lane in self._lanes:
            lane.start_no_more()
        self.storage.wake()

    def _is_done(self) -> bool:
        return (
            self._stopping
            or self.storage.is_closed
            or (self.holdings.left <= 0 and not self.is_busy)
        )

    def _register(self) -> None:
        pause = _FIRST_RETRY
        while not self._is_done():
            try:
                self.loops.heartbeat.renew(clock.now())
                self.storage.find_paused()  # before the first claim
            except StoreUnavailable as error:
                self._telling.store_failed(error)
                self._blockers.look()
                time.sleep(pause)
                pause = min(pause * 2, _SLOWEST_RETRY)
            else:
                self.board.mark_ready()
                self._telling.store_works()
                return

    def _turn(self) -> None:
        is_searching = self.coroutines.is_full
        room = self._room()
        try:
            claimed = self.exchange(room)
            if is_searching and claimed:
                self._leave_async_to_others()
        except StoreUnavailable:
            self._after_failure()
            return
        if self.threads is None and len(self.waiting):
            self._run_inline()
        elif not room:
            if not self._is_done():
                self._nudged.wait(_LOOK)
            self._nudged.clear()
        elif not claimed and self.options.drain and not self.is_busy:
            self._sweep()
        elif claimed < room:
            self._idle()
        if claimed:
            self._has_swept = False

    def _sweep(self) -> None:
        # What is due by now, and what the dead have left, is to be drained, too: then look again.
        if self._has_swept:
            self.is_drained = self._stopping = True
            return
        try:
            self.loops.rescuer.step(clock.now())
            self.loops.stager.step(clock.now())
            self.loops.finisher.finish_all(clock.now())
        except StoreUnavailable as error:
            self._telling.store_failed(error)
            self._after_failure()
        else:
            self._has_swept = True

    def _idle(self) -> None:
        # Anything new may be deferred: then the stager has to know when it is due.
        self._nudged.clear()
        if self.holdings.finished or self.holdings.maps.has_ended or self._is_done():
            return
        if self.storage.wait_for_work(_IDLE):
            self.loops.maintenance.hurry(self.loops.stager)

    def _run_inline(self) -> None:
        self.keeper.watch()
        self.inline.run(lambda: self._stopping, self.keeper.claim_ahead)

    def _settled(self, outcomes: Sequence[Outcome], lost_ids: Sequence[str]) -> None:
        # Called by threads that run atomic tasks, outside of a transaction, because the holder of
        # the lock may wait for the transaction's end.
        with self._exchanging:
            self.holdings.settled(outcomes, lost_ids)
        if self.threads is not None:
            for outcome in outcomes:
                self._learn(outcome)

    def _done(self, outcome: Outcome) -> None:
        # Called by lanes, in their threads.
        self.holdings.finished.append(outcome)
        self._learn(outcome)

    def _learn(self, outcome: Outcome) -> None:
        if outcome.finished_at is not None and outcome.last_attempted_at is not None:
            self.pace.learn(1, outcome.finished_at - outcome.last_attempted_at)

    def _freed(self) -> None:
        # Called by lanes, in their threads.
        if not len(self.waiting):
            self._nudged.set()
            self.storage.wake()

    # Claiming and settling

    def _room(self) -> int:
        """Return how many jobs to claim now."""
        if self.coroutines.is_full and (self.coroutines.surplus or ticks() < self._next_search):
            return 0
        if self.threads is None:
            sync = self._sync_room(1)
        else:
            free = self.threads.size - self.threads.running - len(self.waiting)
            sync = self._sync_room(free) if free > 0 else 0
        if self.coroutines.is_full:
            room = _SEARCH if sync else 0
        else:
            room = max(sync, self._async_room())
        return max(min(room, self._most_room()), 0)

    def _sync_room(self, slots: int) -> int:
        return self.holdings.limited.room(self.pace.batch(slots), slots)

    def _most_room(self) -> int:
        # Limited by the room in the journal, and by the tasks left until this process is replaced.
        if not self.loops.heartbeat.is_steady():
            return 0  # this worker may soon look dead, and its jobs would be run again
        return min(self.board.room - len(self.waiting) - self.coroutines.load, self.holdings.left)

    def _async_room(self) -> int:
        # As far as recent claims brought async tasks; else it would be sync ones to wait.
        free = max(self.coroutines.size - self.coroutines.load, 0)
        return self.holdings.limited.room(int(free * self._async_share), free)

    def exchange(self, limit: int) -> int:
        """Settle what has finished and claim up to ``limit`` jobs; return how many came."""
        with self._exchanging:
            if limit and self.threads is None and len(self.waiting):
                return 0  # they were claimed ahead in the meantime
            return self._exchange(limit)

    def claim_ahead(self) -> None:
        """Settle and claim while the main thread runs the rest of what it has."""
        with self._exchanging:
            if not self._is_done():
                self._exchange(self._sync_room(1))
                self.claimed_at = ticks()

    def _exchange(self, limit: int) -> int:
        for thread in (*self._lanes, self.keeper):
            thread.require_sound()
        limit = max(min(limit, self._most_room()), 0)  # as another thread may have claimed
        jobs = self.holdings.settle_and_claim(self.options.queues, limit)
        if limit:
            self.inline.expect(len(jobs), limit)
        if jobs:
            self._hand_out(jobs)
        self.holdings.maps.finish_ended(self.storage)
        return len(jobs)

    def settle(self) -> None:
        """Settle what has finished, if anything."""
        self.exchange(0)

    def claim_async(self) -> None:
        """Claim for the event loop while sync tasks take all that is there for them.

        Where the last claims brought no async task, one job is claimed to see whether it is one.
        """
        if self._is_done() or self.coroutines.is_full or not self.executor.tasks.has_async():
            return
        room = min(max(self._async_room(), 1), self._most_room())
        if room > 0:
            self.exchange(room)

    def _hand_out(self, jobs: list[Job]) -> None:
        self.executor.listen()
        coroutines = [job for job in jobs if self.executor.tasks.is_async(job)]
        self._async_share = (self._async_share + len(coroutines) / len(jobs)) / 2
        if not (self.inline.is_running and len(self.waiting)):
            self.claimed_at = ticks()
        limited, surplus = self.holdings.limited, list[Job]()
        if coroutines:
            chosen = {job.id for job in coroutines}
            jobs = [job for job in jobs if job.id not in chosen]
            coroutines, surplus = limited.parted(coroutines, True, self.coroutines.size)
            self.coroutines.put(coroutines)
            self.keeper.watch()
        jobs, rest = limited.parted(jobs, False, self.threads.size if self.threads else 1)
        for job in jobs:
            self.waiting.put(job)
        if self.threads is not None:
            self.keeper.watch()
        self.holdings.release([*surplus, *rest])

    def release_waiting(self) -> None:
        """Give back what was claimed and has not started."""
        with self._exchanging:
            self.holdings.release_all([*self.waiting.take_all(), *self.coroutines.take_all()])

    def _leave_async_to_others(self) -> None:
        # The event loop is full: what else was claimed is for other processes, except sync tasks.
        with self._exchanging:
            self._next_search = 0 if len(self.waiting) else ticks() + _SEARCH_EVERY
            self.holdings.release(self.coroutines.take_all())

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new is to be started."""
        return self._stopping

    @property
    def is_busy(self) -> bool:
        """Whether anything is claimed, runs or is not settled."""
        return not self.holdings.is_empty

    @property
    def has_leftovers(self) -> bool:
        """Whether anything waits that was claimed, as what runs takes longer than expected."""
        return bool(len(self.waiting) or self.coroutines.surplus)

    @property
    def is_occupied(self) -> bool:
        """Whether sync tasks take all the threads that there are for them."""
        if self.threads is None:
            return self.inline.is_running
        return self.threads.running >= self.threads.size

    # Ending

    def _wind_down(self) -> None:
        while self.is_busy:
            self._nudged.clear()
            try:
                self.settle()
                self.release_waiting()
            except StoreUnavailable:
                self._after_failure()
            else:
                if self.is_busy:
                    self._nudged.wait(_LOOK)

    def _retire(self) -> None:
        for lane in self._lanes:
            lane.stop()
        try:
            self.storage.retire(self.identity)
        except StoreUnavailable as error:  # harmless: the lease ends, and nothing is held
            self._telling.store_failed(error)
        else:
            self.board.remove()

    def _after_failure(self) -> None:
        self._blockers.look()
        time.sleep(uniform(_FIRST_RETRY, 1.0))  # noqa: S311 # so that workers do not all come at once
