"""Limits against what is to hold of them, in whatever sequence hypothesis thinks of."""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mainspring.core import clock, outcomes
from mainspring.core.clock import SECOND
from mainspring.core.ids import first_id_at
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.limits import Bound, bounds_of
from tests.contract.jobs import START, deferred, died, failed, ids, picked, succeeded, worker
from tests.contract.limits import limited, slots, starts
from tests.contract.stores import Kind, Stores, in_both_orders

A, B, C = slots(1, "a"), slots(2, "b"), slots(3, "c")
R, S = starts(2, 10, "r"), starts(3, 4, "s")
GROUPS: tuple[tuple[Bound, ...], ...] = ((A,), (B,), (A, C), (B, C), (R,), (C, R), (A, R, S), (S,))
ACTIVE = (State.READY, State.RUNNING)


class LimitsMachine(RuleBasedStateMachine):
    """Two workers, each in a process of its own, on one store."""

    stores: Stores
    kind: Kind

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = Path(self.closing.enter_context(TemporaryDirectory()))
        self.store = self.closing.enter_context(self.stores.open(self.kind, folder))
        self.processes = (self.store.storage, self.store.another_process())
        self.workers = (worker("first"), worker("second"))
        for index in (0, 1):
            self.processes[index].heartbeat(self.workers[index], START)
        self.now = START
        patch = self.closing.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(clock, "now", lambda: self.now)  # an exchange looks by itself
        self.numbers = count()
        self.known: list[str] = []
        self.claims: dict[str, tuple[int, Job]] = {}
        """What is claimed, by whom."""
        self.states: dict[str, int] = {}
        """Of all jobs, at the last look."""
        self.admitted: dict[str, list[int]] = {R.name: [], S.name: []}
        """By rate, when jobs were admitted."""

    def teardown(self) -> None:
        self.closing.close()

    def _id(self) -> str:
        return f"{first_id_at(self.now)}{next(self.numbers):020x}"

    def _jobs(self) -> dict[str, Job]:
        return {job.id: job for job in self.processes[0].get_results(self.known)}

    @rule(
        groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=6),
        wait=st.sampled_from([0, 0, 1]),
        index=st.integers(0, 1),
    )
    def enqueue(self, groups: list[tuple[Bound, ...]], wait: int, index: int) -> None:
        at, jobs = self.now - START, []
        for bounds in groups:
            job = limited(at, *bounds, id=self._id())
            if wait:
                due = at + wait * SECOND
                job = deferred(due, at, id=job.id, limit_group=job.limit_group)
            jobs.append(job)
        self.processes[index].enqueue(jobs)
        self.known += ids(jobs)

    @rule(index=st.integers(0, 1))
    def admit(self, index: int) -> None:
        """Admit; then nothing is held that has room, except what waits for a rate."""
        while self.processes[index].admit(self.now).admitted:
            pass
        jobs = self._jobs().values()
        used = self._used(jobs)
        for job in jobs:
            if job.state == State.HELD:
                bounds = bounds_of(job.limit_group or "")
                if all(bound.per is None for bound in bounds):
                    assert any(used[bound.name] >= bound.limit for bound in bounds), job

    @rule(index=st.integers(0, 1), limit=st.integers(1, 5))
    def claim(self, index: int, limit: int) -> None:
        self._claimed(index, self.processes[index].claim(self.workers[index], ["*"], limit))

    def _claimed(self, index: int, jobs: list[Job]) -> None:
        for job in jobs:
            self.claims[job.id] = (index, job)

    @rule(
        place=st.integers(0, 99),
        ending=st.sampled_from(["ok", "raised", "later", "again", "released"]),
        claims_more=st.booleans(),
    )
    def settle(self, place: int, ending: str, claims_more: bool) -> None:
        if not self.claims:
            return
        (job_id,) = picked(sorted(self.claims), [place])
        index, job = self.claims.pop(job_id)
        one, at = self.workers[index], self.now - START
        storage = self.processes[index]
        if ending == "released":
            storage.release(one, [job])
            return
        outcome = {
            "ok": lambda: succeeded(job, one, at + SECOND),
            "raised": lambda: failed(job, one, at + SECOND),
            "later": lambda: outcomes.snoozed(job, self.now, SECOND),
            "again": lambda: outcomes.snoozed(job, self.now, 0),
        }[ending]()
        if not claims_more:
            storage.settle(one, [outcome])
        else:
            # An exchange that frees slots looks by the clock of whoever holds the store.
            freed = set[str]() if self.kind.options else {job.limit_group or ""}
            lost, jobs = storage.settle_and_claim(one, [outcome], ["*"], 2, freed)
            assert lost == []
            self._claimed(index, jobs)

    @rule(places=st.lists(st.integers(0, 99), max_size=2), index=st.integers(0, 1))
    def cancel(self, places: list[int], index: int) -> None:
        for job_id in self.processes[index].cancel(picked(self.known, places)):
            self.claims.pop(job_id, None)

    @rule(places=st.lists(st.integers(0, 99), max_size=5), index=st.integers(0, 1))
    def die(self, places: list[int], index: int) -> None:
        dead: Worker = self.workers[index]
        mine = [job for owner, job in self.claims.values() if owner == index]
        started = picked(mine, places)
        self.processes[1 - index].rescue(self.now, [died(dead, started)])
        for job in mine:
            del self.claims[job.id]
        replaced = list(self.workers)
        replaced[index] = worker("replacement")
        self.workers = (replaced[0], replaced[1])
        self.processes[index].heartbeat(self.workers[index], self.now)

    @rule(index=st.integers(0, 1))
    def stage(self, index: int) -> None:
        self.processes[index].stage(self.now)

    @rule(duration=st.sampled_from([1, SECOND, 3 * SECOND, 10 * SECOND]))
    def time_passes(self, duration: int) -> None:
        self.now += duration

    @staticmethod
    def _used(jobs: Iterable[Job]) -> dict[str, int]:
        used = {bound.name: 0 for bounds in GROUPS for bound in bounds}
        for job in jobs:
            if job.state in ACTIVE:
                for bound in bounds_of(job.limit_group or ""):
                    used[bound.name] += 1
        return used

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        used = self._used(self._jobs().values())
        for bound in (A, B, C):
            assert used[bound.name] <= bound.limit

    @invariant()
    def no_rate_is_exceeded(self) -> None:
        before, jobs = self.states, self._jobs()
        self.states = {job_id: job.state for job_id, job in jobs.items()}
        for job_id, job in jobs.items():
            if before.get(job_id) == State.HELD and job.state in ACTIVE:
                for bound in bounds_of(job.limit_group or ""):
                    if bound.per is not None:
                        self.admitted[bound.name].append(self.now)
        for bound in (R, S):
            # The store takes the moment anew once it holds the locks: some milliseconds later.
            window = (bound.per or 0) - SECOND // 2
            moments = self.admitted[bound.name]
            for moment in moments:
                assert sum(moment <= at < moment + window for at in moments) <= bound.limit

    @invariant()
    def the_counts_are_right(self) -> None:
        held = sum(job.state == State.HELD for job in self._jobs().values())
        assert self.processes[1].stats().held == held


@in_both_orders
def test_limits_hold_whatever_happens(stores: Stores, kind: Kind) -> None:
    machine = type("Machine", (LimitsMachine,), {"stores": stores, "kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=kind.histories // 2,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
