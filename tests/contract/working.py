"""A worker in the thread of the test itself."""

from asgiref.sync import async_to_sync

from mainspring.core import clock
from mainspring.core.jobs import Job, Outcome
from mainspring.runtime.board import NoBoard
from mainspring.runtime.executor import Executor
from mainspring.runtime.guard import Guard
from mainspring.runtime.identity import new_worker
from mainspring.runtime.recaller import Recaller
from tests.contract.jobs import ALL, DAY
from tests.contract.stores import Store


class InlineWorker:
    """Runs what is ready when it is told to, one job after the other."""

    def __init__(self, store: Store) -> None:
        self.identity = new_worker()
        self.storage = store.storage
        self.guard = Guard(NoBoard())
        self.executor = Executor(store.backend, self.identity, NoBoard(), self.guard)
        self.recaller = Recaller(self.storage, self.guard, self.executor)
        self.lost: list[str] = []
        """The ids of the outcomes that came too late."""

    def work_off(self) -> None:
        """Run everything that is ready."""
        self.storage.heartbeat(self.identity, clock.now())
        while jobs := self.storage.claim(self.identity, ALL, 10):
            outcomes = [self.execute(job) for job in jobs]
            self.lost += self.storage.settle(self.identity, outcomes)
        self.storage.retire(self.identity)

    def execute(self, job: Job) -> Outcome:
        """Run one job."""
        if self.executor.tasks.is_async(job):
            return async_to_sync(self.executor.aexecute)(job)
        outcome = self.executor.execute(job)
        assert outcome is not None
        return outcome


def work_off(store: Store) -> str:
    """Run everything that is ready, in this thread; return the id of the worker that did it."""
    worker = InlineWorker(store)
    worker.work_off()
    assert worker.lost == []
    return worker.identity.id


def make_due(store: Store) -> None:
    """Make everything ready that waits for some moment of the next days."""
    while store.storage.stage(clock.now() + 10 * DAY).staged:
        pass
