"""One worker process: claims jobs, has them run, settles what came of them."""

import sys
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
from mainspring.maintenance.loop import Maintenance
from mainspring.maintenance.pruner import Pruner
from mainspring.maintenance.rescuer import Rescuer
from mainspring.maintenance.stager import Stager
from mainspring.runtime import lost
from mainspring.runtime.board import Board, NoBoard
from mainspring.runtime.executor import Executor
from mainspring.runtime.heartbeat import Heartbeat
from mainspring.runtime.keeper import Keeper
from mainspring.runtime.lanes import AsyncLane, ThreadLane, Waiting
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.pace import Pace
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
        self.executor = Executor(backend, identity, board)
        self.pace = Pace()
        self.threads = (
            ThreadLane(self.executor, self._done, self._freed, options.threads)
            if options.threads > 1
            else None
        )
        self.waiting = self.threads.waiting if self.threads is not None else Waiting()
        self.coroutines = AsyncLane(
            self.executor, self._done, self._freed, options.async_concurrency
        )
        self._lanes = [lane for lane in (self.threads, self.coroutines) if lane is not None]
        self.claimed_at = 0
        self.is_running_inline = False
        self.is_drained = False
        self._has_swept = False
        self._async_share = 0.0
        self._next_search = 0
        self._held = 0  # jobs that are claimed and neither settled nor released
        self._finished: list[Outcome] = []
        self._exchanging = threading.Lock()
        self._nudged = threading.Event()
        self._stopping = False
        self._telling = Telling(identity.id)
        self._has_worked = False
        self._left = _with_jitter(options.max_tasks)  # to be claimed
        self.keeper = Keeper(self)
        self._add_maintenance(backend)

    def _add_maintenance(self, backend: MainspringBackend) -> None:
        storage, identity = self.storage, self.storage.identity
        lease = backend.config.options.lease
        heartbeat = Heartbeat(self, lease)
        self._rescuer = Rescuer(
            storage,
            lambda: lost.find_lost(identity),
            lambda dead: lost.forget(identity, dead),
            heartbeat.is_steady,
            lease,
        )
        self._stager = Stager(storage)
        pruner = Pruner(storage, backend.config.options.result_ttl)
        self.maintenance = Maintenance([heartbeat, self._rescuer, self._stager, pruner])

    # Turning

    def run(self) -> None:
        """Work until :meth:`stop`, or until nothing is left with ``drain``; then clean up.

        If this raises, the process must end: only its death tells others to rescue what it holds.
        """
        self._register()
        self.storage.wait_for_work(0)  # can be woken from now on, before the first looks
        self.keeper.start()
        self.maintenance.start()
        while not self._is_done():
            self._turn()
        self._wind_down()
        self.keeper.stop()
        self.maintenance.stop(timeout=1)
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
        return self._stopping or self.storage.is_closed or (self._left <= 0 and not self.is_busy)

    def _register(self) -> None:
        pause = _FIRST_RETRY
        while not self._is_done():
            try:
                self.storage.heartbeat(self.identity, clock.now())
            except StoreUnavailable as error:
                self._telling.store_failed(error)
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
            if self.is_busy:
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
            self._rescuer.step(clock.now())
            self._stager.step(clock.now())
        except StoreUnavailable as error:
            self._telling.store_failed(error)
            self._after_failure()
        else:
            self._has_swept = True

    def _idle(self) -> None:
        # Anything new may be deferred: then the stager has to know when it is due.
        self._nudged.clear()
        if self._finished or self._is_done():
            return
        if self.storage.wait_for_work(_IDLE):
            self.maintenance.hurry(self._stager)

    def _run_inline(self) -> None:
        began, ran = clock.now(), 0
        execute, waiting, finished = self.executor.execute, self.waiting, self._finished
        self.is_running_inline = True
        self.keeper.watch()
        while not self._stopping and (job := waiting.take_at_once()) is not None:
            finished.append(execute(job))
            ran += 1
        self.is_running_inline = False
        if ran:
            self.pace.learn(ran, clock.now() - began)

    def _done(self, outcome: Outcome) -> None:
        # Called by lanes, in their threads.
        self._finished.append(outcome)
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
        if self.coroutines.is_full and (self.coroutines.surplus or clock.now() < self._next_search):
            return 0
        if self.threads is None:
            sync = self.pace.batch(1)
        else:
            free = self.threads.size - self.threads.running - len(self.waiting)
            sync = self.pace.batch(free) if free > 0 else 0
        if self.coroutines.is_full:
            room = _SEARCH if sync else 0
        else:
            room = max(sync, self._async_room())
        return max(min(room, self._most_room()), 0)

    def _most_room(self) -> int:
        # What the journal has room for, and what is left to do before this process is replaced.
        return min(self.board.room - len(self.waiting) - self.coroutines.load, self._left)

    def _async_room(self) -> int:
        # As far as recent claims brought async tasks; else it would be sync ones to wait.
        return max(int((self.coroutines.size - self.coroutines.load) * self._async_share), 0)

    def exchange(self, limit: int) -> int:
        """Settle what has finished and claim up to ``limit`` jobs; return how many came."""
        with self._exchanging:
            outcomes = self._take_finished()
            limit = max(min(limit, self._most_room()), 0)  # as another thread may have claimed
            if not outcomes and not limit:
                return 0
            try:
                lost_ids, jobs = self.storage.settle_and_claim(
                    self.identity, outcomes, self.options.queues, limit
                )
            except BaseException as error:
                self._put_back(outcomes)
                if isinstance(error, StoreUnavailable):
                    self._telling.store_failed(error)
                raise
            self._held += len(jobs) - len(outcomes)
            self._left -= len(jobs)
            self._has_worked = self._has_worked or bool(outcomes)
            self._telling.store_works()
            self._telling.outcomes_dropped(lost_ids)
            if outcomes:
                self.board.settled({outcome.id for outcome in outcomes})
            if jobs:
                self._hand_out(jobs)
        return len(jobs)

    def settle(self) -> None:
        """Settle what has finished, if anything."""
        self.exchange(0)

    def claim_async(self) -> None:
        """Claim for the event loop while sync tasks take all that is there for them.

        Where the last claims brought no async task, one job is claimed to see whether it is one.
        """
        if self._is_done() or self.coroutines.is_full or not self.executor.knows_async_tasks():
            return
        room = min(max(self._async_room(), 1), self._most_room())
        if room > 0:
            self.exchange(room)

    def _hand_out(self, jobs: Sequence[Job]) -> None:
        self.executor.listen()
        coroutines = [job for job in jobs if self.executor.is_async(job)]
        self._async_share = (self._async_share + len(coroutines) / len(jobs)) / 2
        if not (self.is_running_inline and len(self.waiting)):
            self.claimed_at = clock.now()
        if coroutines:
            self.coroutines.put(coroutines)
            self.keeper.watch()
            chosen = {job.id for job in coroutines}
            jobs = [job for job in jobs if job.id not in chosen]
        for job in jobs:
            self.waiting.put(job)
        if self.threads is not None:
            self.keeper.watch()

    def _take_finished(self) -> list[Outcome]:
        # Emptied in place and from the front: lanes append without a lock.
        outcomes = self._finished[:]
        del self._finished[: len(outcomes)]
        return outcomes

    def _put_back(self, outcomes: list[Outcome]) -> None:
        self._finished[:0] = outcomes

    def oldest_finished_at(self) -> int | None:
        """Return when the first job finished that is not settled; None if all are."""
        try:
            return self._finished[0].finished_at or 0
        except IndexError:
            return None

    def release_waiting(self) -> None:
        """Give back what was claimed and has not started."""
        with self._exchanging:
            self._release(self.waiting.take_all(), self.coroutines.take_all())

    def _leave_async_to_others(self) -> None:
        # The event loop is full: what else was claimed is for other processes, except sync tasks.
        with self._exchanging:
            self._next_search = 0 if len(self.waiting) else clock.now() + _SEARCH_EVERY
            self._release([], self.coroutines.take_all())

    def _release(self, sync: list[Job], coroutines: list[Job]) -> None:
        jobs = [*sync, *coroutines]
        if not jobs:
            return
        try:
            self.storage.release(self.identity, jobs)
        except BaseException as error:
            for job in sync:
                self.waiting.put(job)
            if coroutines:
                self.coroutines.put(coroutines)
            if isinstance(error, StoreUnavailable):
                self._telling.store_failed(error)
            raise
        self._held -= len(jobs)
        self._left += len(jobs)

    @property
    def is_busy(self) -> bool:
        """Whether anything is claimed, runs or is not settled."""
        return self._held > 0

    @property
    def has_leftovers(self) -> bool:
        """Whether anything waits that was claimed, as what runs takes longer than expected."""
        return bool(len(self.waiting) or self.coroutines.surplus)

    @property
    def is_occupied(self) -> bool:
        """Whether sync tasks take all the threads that there are for them."""
        if self.threads is None:
            return self.is_running_inline
        return self.threads.running >= self.threads.size

    @property
    def has_worked(self) -> bool:
        """Whether any task has run."""
        return self._has_worked

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
        time.sleep(uniform(_FIRST_RETRY, 1.0))  # noqa: S311 # so that workers do not all come at once


def _with_jitter(max_tasks: int | None) -> int:
    # 10 % more or less, so that processes are not replaced all at once.
    return sys.maxsize if max_tasks is None else max(round(max_tasks * uniform(0.9, 1.1)), 1)  # noqa: S311
