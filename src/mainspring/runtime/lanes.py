"""The lanes that a worker's jobs run in: threads for sync tasks, an event loop for async ones."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from mainspring.backends.forking import end_child
from mainspring.backends.stalls import Slot, async_slot
from mainspring.core import outcomes
from mainspring.core.jobs import Job, Outcome
from mainspring.runtime.executor import Executor
from mainspring.runtime.isolation import context_for_tasks, expect_no_tasks, expect_tasks

type Done = Callable[[Outcome], None]
type Freed = Callable[[], None]


class Waiting:
    """Jobs that were claimed and have not started; taken from by lanes and by a release."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()

    def __len__(self) -> int:
        return self._jobs.qsize()

    def put(self, job: Job | None) -> None:
        """Add a job; None ends one thread that takes."""
        self._jobs.put(job)

    def take(self) -> Job | None:
        """Wait for the next job."""
        return self._jobs.get()

    def take_at_once(self) -> Job | None:
        """Return the next job, or None if there is none."""
        try:
            return self._jobs.get_nowait()
        except Empty:
            return None

    def take_all(self) -> list[Job]:
        """Return all jobs that have not started."""
        jobs = []
        while (job := self.take_at_once()) is not None:
            jobs.append(job)
        return jobs


class Lane:
    """What lanes with threads of their own have in common."""

    _failure: BaseException | None = None

    def require_sound(self) -> None:
        """Raise if a thread itself has failed, not a task: its jobs would never run."""
        if self._failure is not None:
            raise RuntimeError("A thread that runs tasks has failed") from self._failure


class ThreadLane(Lane):
    """A pool of threads for sync tasks."""

    def __init__(
        self, executor: Executor, done: Done, freed: Freed, threads: int, is_daemonic: bool = True
    ) -> None:
        """``done`` is called with each outcome, then ``freed``, when there is room for another job.

        ``is_daemonic`` applies to its threads. Threads that tasks start inherit it.
        """
        self.waiting = Waiting()
        self.size = threads
        self._executor = executor
        self._done = done
        self._freed = freed
        self._running = 0
        self._starts_no_more = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"mainspring-task-{i}", daemon=is_daemonic)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> int:
        """How many jobs run."""
        return self._running

    def _work(self) -> None:
        expect_tasks()
        try:
            self._work_on()
        finally:
            expect_no_tasks()

    def _work_on(self) -> None:
        while (job := self.waiting.take()) is not None:
            if self._starts_no_more:
                self.waiting.put(job)  # to be released
                return
            with self._lock:
                self._running += 1
            try:
                outcome = self._executor.execute(job)
            except BaseException as error:  # noqa: BLE001 # it raises nothing, or is broken
                self._failure = error
            else:
                if outcome is not None:
                    self._done(outcome)
                del outcome
            del job  # the thread may wait long for the next job
            with self._lock:
                self._running -= 1
            self._freed()

    def start_no_more(self) -> None:
        """Leave what waits to be released; a signal handler may call this."""
        self._starts_no_more = True

    def stop(self) -> None:
        """End the idle threads now, and the others after their current job."""
        for _ in self._threads:
            self.waiting.put(None)


class AsyncLane(Lane):
    """An event loop in its own thread, for async tasks; started for the first one."""

    def __init__(
        self,
        executor: Executor,
        done: Done,
        freed: Freed,
        concurrency: int,
        is_daemonic: bool = True,
    ) -> None:
        """``done``, ``freed`` and ``is_daemonic`` as for :class:`ThreadLane`."""
        self._is_daemonic = is_daemonic
        self.size = concurrency
        self._executor = executor
        self._done = done
        self._freed = freed
        self._waiting: deque[Job] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = context_for_tasks()
        self._starts_no_more = False
        self._is_stopping = False
        self._is_child = False

    @property
    def load(self) -> int:
        """How many jobs run or wait."""
        return len(self._running) + len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether as many jobs run as may."""
        return len(self._running) >= self.size

    @property
    def surplus(self) -> int:
        """How many jobs wait because it is full."""
        return len(self._waiting) if self.is_full else 0

    def put(self, jobs: list[Job]) -> None:
        """Add jobs."""
        self._waiting.extend(jobs)
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=self._turn,
                args=(loop,),
                name="mainspring-async",
                daemon=self._is_daemonic,
            ).start()
        loop.call_soon_threadsafe(self._start_waiting, loop)

    def take_all(self) -> list[Job]:
        """Return all jobs that have not started."""
        jobs = []
        while self._waiting:
            try:
                jobs.append(self._waiting.popleft())
            except IndexError:  # the loop took the last one
                break
        return jobs

    def start_no_more(self) -> None:
        """Leave what waits to be released; a signal handler may call this."""
        self._starts_no_more = True

    def stop(self) -> None:
        """End the loop; its jobs must have finished."""
        self._is_stopping = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed: it has failed, or a task has stopped it
                self._loop.call_soon_threadsafe(self._loop.stop)

    def end_here(self) -> None:
        """End this process, which a task has forked, before the next step of its event loop.

        It shares the loop's descriptors with the parent: closing the loop would break the parent's.
        """
        self._is_child = True
        if self._loop is not None:
            self._loop.stop()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            while not self._is_stopping:  # a task may stop the loop, but not for the others
                # asyncio ends the loop if a coroutine that a task has spawned raises these.
                with suppress(SystemExit, KeyboardInterrupt):
                    loop.run_forever()
                if self._is_child:
                    end_child(None)
        except BaseException as error:  # noqa: BLE001 # the loop is gone, its jobs would never run
            self._failure = error
            self._freed()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _start_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and len(self._running) < self.size and not self._starts_no_more:
            try:
                job = self._waiting.popleft()
            except IndexError:  # released just now
                return
            # Not with the loop's task factory, which a task may have replaced.
            task = asyncio.Task(self._work(job), loop=loop, context=self._context.copy())
            self._running.add(task)
            task.add_done_callback(partial(self._finished, job))

    async def _work(self, job: Job) -> None:
        async_slot.set(Slot(self, self.size, job))  # in the context of this asyncio task
        try:
            self._done(await self._executor.aexecute(job))
        except BaseException as error:  # noqa: BLE001 # it raises nothing, or is broken
            self._failure = error

    def _finished(self, job: Job, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if task.cancelled():  # before its first step; later, _work() catches it
            self._done(outcomes.untouched(job))
        self._start_waiting(task.get_loop())
        self._freed()
