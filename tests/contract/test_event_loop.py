"""The event loop that async tasks share: whatever one does to the others, each call has an end."""

from collections.abc import Iterator
from threading import Condition

import pytest
from django.tasks import TaskResultStatus

from mainspring.core import clock
from mainspring.core.jobs import Job, Outcome
from mainspring.runtime.lanes import AsyncLane
from tests.contract.jobs import ALL
from tests.contract.stores import Store
from tests.contract.tasks import add_soon, cancel_all_others, cancel_oneself_and_note
from tests.contract.working import InlineWorker, work_off

MANY = 20


class Loop:
    """A worker's event loop; settles when it is told to."""

    def __init__(self, store: Store) -> None:
        self.worker = InlineWorker(store)
        self.storage = store.storage
        self.storage.heartbeat(self.worker.identity, clock.now())
        self._ended: list[Outcome] = []
        self._changed = Condition()
        self.lane = AsyncLane(self.worker.executor, self._done, lambda: None, MANY)

    def _done(self, outcome: Outcome) -> None:
        with self._changed:
            self._ended.append(outcome)
            self._changed.notify()

    def run_all(self) -> list[Job]:
        """Run all that is ready now, at once; return the jobs."""
        jobs = self.storage.claim(self.worker.identity, ALL, MANY)
        self.lane.put(jobs)
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._ended) == len(jobs), 20)
            outcomes, self._ended = self._ended, []
        assert self.storage.settle(self.worker.identity, outcomes) == []
        return jobs


@pytest.fixture
def loop(store: Store) -> Iterator[Loop]:
    """An event loop on a store."""
    made = Loop(store)
    yield made
    made.lane.stop()


def test_what_is_cancelled_before_its_first_step_has_not_started(loop: Loop) -> None:
    cancelling = cancel_all_others.using(priority=1).enqueue()
    others = [add_soon.enqueue(number, 0) for number in range(5)]
    assert len(loop.run_all()) == 6
    assert cancelling.refresh().return_value >= 5  # and tasks that send signals, on Django 6.0
    assert {one.refresh().status for one in others} == {TaskResultStatus.READY}

    assert len(loop.run_all()) == 5
    found = [one.refresh() for one in others]
    assert [one.return_value for one in found] == list(range(5))
    assert [(one.attempts, one.errors) for one in found] == [(1, [])] * 5


def test_who_cancels_oneself_and_returns_has_returned(store: Store) -> None:
    result = cancel_oneself_and_note.enqueue()
    work_off(store)
    found = result.refresh()
    assert (found.status, found.return_value) == (TaskResultStatus.SUCCESSFUL, "returned")
    assert found.metadata == {"noted": "in time"}
