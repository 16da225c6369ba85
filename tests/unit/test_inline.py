"""The lane of one slot: half of what came runs while the next is claimed."""

from typing import Any

from mainspring.core.jobs import Job
from mainspring.runtime.inline import InlineLane
from mainspring.runtime.lanes import Waiting
from mainspring.runtime.pace import Pace
from tests.contract.jobs import job


class Runs:
    """Runs jobs by noting them."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.kept: set[Job] = set()
        self.commits: list[int] = []

    def execute(self, one: Job) -> Any:
        self.jobs.append(one)
        return None if one in self.kept else one

    def commit(self) -> None:
        self.commits.append(len(self.jobs))


def lane_with(number: int) -> tuple[InlineLane, Runs, Waiting, list[Any]]:
    runs, waiting, finished = Runs(), Waiting(), list[Any]()
    for i in range(number):
        waiting.put(job(i))
    executor: Any = runs
    return InlineLane(executor, waiting, finished, Pace()), runs, waiting, finished


def test_all_that_waits_is_run_in_its_order() -> None:
    lane, runs, _, finished = lane_with(5)
    lane.run(lambda: False, lambda: None)
    assert finished == runs.jobs
    assert [one.available_at for one in runs.jobs] == sorted(one.available_at for one in runs.jobs)
    assert not lane.is_running


def test_what_is_settled_with_its_own_writes_is_committed_when_nothing_waits() -> None:
    lane, runs, waiting, finished = lane_with(3)
    atomic = job(3)
    runs.kept.add(atomic)
    waiting.put(atomic)
    lane.run(lambda: False, lambda: None)
    assert runs.jobs == [*finished, atomic]
    assert runs.commits == [4]


def test_the_next_are_claimed_when_half_is_left() -> None:
    lane, runs, _, _ = lane_with(40)
    lane.expect(40, 40)
    left: list[int] = []
    lane.run(lambda: False, lambda: left.append(40 - len(runs.jobs)))
    assert left == [20]


def test_what_is_claimed_ahead_is_run_as_well() -> None:
    lane, runs, waiting, _ = lane_with(40)
    lane.expect(40, 40)

    def claim_ahead() -> None:
        if len(runs.jobs) < 100:
            for i in range(40):
                waiting.put(job(100 + i))

    lane.run(lambda: False, claim_ahead)
    assert len(runs.jobs) == 120


def test_few_jobs_and_the_last_ones_are_not_claimed_ahead_of() -> None:
    for number, room in ((8, 8), (40, 50)):
        lane, _, _, _ = lane_with(number)
        lane.expect(number, room)
        told: list[bool] = []
        lane.run(lambda: False, lambda told=told: told.append(True))  # type: ignore[misc]
        assert told == []


def test_it_stops_between_two_jobs() -> None:
    lane, runs, waiting, _ = lane_with(10)
    lane.run(lambda: len(runs.jobs) == 3, lambda: None)
    assert len(waiting) == 7
