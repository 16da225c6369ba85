"""The storage verbs against a model in plain Python, in whatever sequence hypothesis thinks of."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mainspring.backends.storage import LostWorker, Storage
from mainspring.core import outcomes
from mainspring.core.clock import SECOND
from mainspring.core.ids import first_id_at
from mainspring.core.jobs import Job, Outcome, State, Worker
from tests.contract.jobs import (
    LEASE,
    START,
    deferred,
    died,
    failed,
    job,
    picked,
    silent,
    succeeded,
    worker,
)
from tests.contract.model import Model
from tests.contract.stores import Kind, Stores, in_both_orders

QUEUES = ("a", "b", "c")
CLAIMS = (("*",), ("a",), ("b", "*"), ("c", "a"), ("a", "*", "b"), ("nobody",))

durations = st.sampled_from([0, 1, SECOND // 2, SECOND, 6 * SECOND, LEASE - 1, LEASE])

queues = st.sampled_from(CLAIMS)
limits = st.sampled_from([1, 2, 3, 50])
metadata = st.sampled_from([None, b'{"a":1}', b'{"b":[2]}'])

# What may come of a job: of the job, of who runs it and of the moment.
ENDINGS: dict[str, Callable[[Job, Worker, int], Outcome]] = {
    "success": lambda job, by, now: succeeded(job, by, now - START),
    "failure": lambda job, by, now: failed(job, by, now - START),
    "retry": lambda job, by, now: failed(job, by, now - START, SECOND),
    "retry at once": lambda job, by, now: failed(job, by, now - START, 0),
    "snooze": lambda job, by, now: outcomes.snoozed(job, now, SECOND // 2),
    "postpone": lambda job, by, now: outcomes.postponed(job, now),
}
endings = st.sampled_from(list(ENDINGS))
places = st.lists(st.integers(0, 99), max_size=5)


class StoreMachine(RuleBasedStateMachine):
    """Two workers, each in a process of its own, on one store."""

    stores: Stores
    kind: Kind

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = Path(self.closing.enter_context(TemporaryDirectory()))
        self.store = self.closing.enter_context(self.stores.open(self.kind, folder))
        self.model = Model(self.kind.order)
        self.now = START
        self.processes = (self.store.storage, self.store.another_process())
        self.workers = (worker("first"), worker("second"))
        self.claims: list[tuple[int, Job]] = []
        """All that was ever claimed, with whose it was; most of these claims hold no more."""
        self.unseen: list[str] = []
        """What was deleted."""
        self.ids = count()
        for index in (0, 1):
            self.heartbeat(index)

    def teardown(self) -> None:
        self.closing.close()

    # Callers

    @rule(
        moments=st.lists(st.integers(-3, 3), min_size=1, max_size=4),
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([-1, 0, 0, 1]),
        process=st.integers(0, 1),
        noted=metadata,
    )
    def enqueue(
        self, moments: list[int], queue: str, priority: int, process: int, noted: bytes | None
    ) -> None:
        """Enqueue jobs; several may have become available in one microsecond."""
        at = self.now - START
        columns: dict[str, Any] = {"queue_name": queue, "priority": priority, "metadata": noted}
        self._enqueue(
            process, [job(at + moment, id=self._new_id(), **columns) for moment in moments]
        )

    @rule(
        waits=st.lists(durations, min_size=1, max_size=4),
        queue=st.sampled_from(QUEUES),
        process=st.integers(0, 1),
    )
    def defer(self, waits: list[int], queue: str, process: int) -> None:
        at = self.now - START
        self._enqueue(
            process,
            [deferred(at + wait, at, id=self._new_id(), queue_name=queue) for wait in waits],
        )

    def _new_id(self) -> str:
        """Return an id that sorts by time and has nothing random, so that failures repeat.

        A millisecond old: pruning looks at what was enqueued in an earlier one.
        """
        return f"{first_id_at(self.now - 1000)}{next(self.ids):020x}"

    def _enqueue(self, process: int, jobs: list[Job]) -> None:
        self.processes[process].enqueue(jobs)
        self.model.enqueue(jobs)

    @rule(places=places, process=st.integers(0, 1))
    def cancel(self, places: list[int], process: int) -> None:
        known = [*self.model.entries, *self.unseen]
        chosen = picked(known, places)
        cancelled = self.processes[process].cancel(chosen)
        assert sorted(cancelled) == sorted(self.model.cancel(chosen))
        for found in self.processes[0].get_results(cancelled):  # by the real clock
            self.model.entries[found.id].finished_at = found.finished_at

    # Workers

    @rule(index=st.integers(0, 1), queues=queues, limit=limits)
    def claim(self, index: int, queues: tuple[str, ...], limit: int) -> None:
        taken = self.processes[index].claim(self.workers[index], queues, limit)
        self._claimed(index, queues, limit, taken)

    def _claimed(self, index: int, queues: tuple[str, ...], limit: int, taken: list[Job]) -> None:
        if self.workers[index] not in self.model.leases:  # a worker claims after its heartbeat
            self.heartbeat(index)
        self.model.claim(self.workers[index], queues, limit, taken)
        self.claims += [(index, one) for one in taken]

    @rule(places=places, index=st.integers(0, 1), ending=endings)
    def settle(self, places: list[int], index: int, ending: str) -> None:
        """Settle claims, of which some may have been lost."""
        settled = self._outcomes(places, index, ending)
        lost = self.processes[index].settle(self.workers[index], list(settled.values()))
        self._settled(settled, lost)

    @rule(places=places, index=st.integers(0, 1), ending=endings, queues=queues, limit=limits)
    def settle_and_claim(
        self, places: list[int], index: int, ending: str, queues: tuple[str, ...], limit: int
    ) -> None:
        settled = self._outcomes(places, index, ending)
        lost, taken = self.processes[index].settle_and_claim(
            self.workers[index], list(settled.values()), queues, limit
        )
        self._settled(settled, lost)
        self._claimed(index, queues, limit, taken)

    def _outcomes(self, places: list[int], index: int, ending: str) -> dict[Job, Outcome]:
        chosen = self._some_claims(places, index)
        return {one: ENDINGS[ending](one, self.workers[index], self.now) for one in chosen}

    def _some_claims(self, places: list[int], index: int) -> list[Job]:
        # A moment of its own for each settle: the same outcome twice may count as stored twice.
        self.now += 1
        mine = [one for owner, one in self.claims if owner == index]
        # The last ones most of all, as these may hold.
        return list({one.id: one for one in picked(mine[-8:], places)}.values())

    def _settled(self, settled: dict[Job, Outcome], lost: list[str]) -> None:
        expected = [one.id for one, end in settled.items() if not self.model.settle(one, end)]
        assert sorted(lost) == sorted(expected)

    @rule(places=places, index=st.integers(0, 1), noted=metadata)
    def save_metadata(self, places: list[int], index: int, noted: bytes | None) -> None:
        for one in self._some_claims(places, index):
            is_saved = self.processes[index].save_metadata(one, noted)
            assert is_saved == self.model.save_metadata(one, noted)

    @rule(places=places, index=st.integers(0, 1), process=st.integers(0, 1))
    def look_at_claims(self, places: list[int], index: int, process: int) -> None:
        chosen = self._some_claims(places, index)
        held = self.processes[process].claims_held(chosen)
        assert held == {one.id for one in chosen if self.model.holds(one)}

    @rule(places=places, index=st.integers(0, 1))
    def release(self, places: list[int], index: int) -> None:
        chosen = self._some_claims(places, index)
        released = self.processes[index].release(self.workers[index], chosen)
        assert released == sum([self.model.release(one) for one in chosen])

    @rule(index=st.integers(0, 1))
    def heartbeat(self, index: int) -> None:
        one = self.workers[index]
        assert self.processes[index].heartbeat(one, self.now) == self.model.heartbeat(one, self.now)

    @rule(duration=durations)
    def time_passes(self, duration: int) -> None:
        self.now += duration

    @rule(index=st.integers(0, 1))
    def freeze(self, index: int) -> None:
        """Have a worker miss its lease, and the other one take over what it had."""
        other = 1 - index
        self.now += LEASE
        self.heartbeat(other)
        self._rescued(self.processes[other], [], {})
        self.claim(other, ("*",), 50)

    @rule(index=st.integers(0, 1))
    def lack_the_code(self, index: int) -> None:
        """Have a worker postpone all that it has; later it is due again."""
        chosen = [one for owner, one in self.claims if owner == index and self.model.holds(one)]
        settled = {one: outcomes.postponed(one, self.now) for one in chosen}
        assert self.processes[index].settle(self.workers[index], list(settled.values())) == []
        self._settled(settled, [])
        self.now += 7 * SECOND
        self.stage(index)

    @rule(process=st.integers(0, 1))
    def rescue(self, process: int) -> None:
        """Rescue what a worker left whose lease has ended."""
        self._rescued(self.processes[process], [], {})

    @rule(places=places, index=st.integers(0, 1))
    def die(self, places: list[int], index: int) -> None:
        """Rescue what a worker left that is known to be dead; another takes its place."""
        dead = self.workers[index]
        running = [one for owner, one in self.claims if owner == index and self.model.holds(one)]
        started = picked(running, places)
        lost = died(dead, started)
        self._rescued(self.processes[1 - index], [lost], {dead.id: {one.id for one in started}})
        replaced = list(self.workers)
        replaced[index] = worker("replacement")
        self.workers = (replaced[0], replaced[1])
        self.heartbeat(index)

    def _rescued(
        self, storage: Storage, lost: list[LostWorker], started_by: dict[str, set[str]]
    ) -> None:
        rescued = storage.rescue(self.now, [*silent(storage, self.now), *lost])
        found = {one.job_id: (State(one.state), one.was_started) for one in rescued}
        assert len(found) == len(rescued)
        assert found == self.model.rescue(self.now, started_by)

    # Maintenance

    @rule(process=st.integers(0, 1))
    def stage(self, process: int) -> None:
        assert self.processes[process].stage(self.now)[:2] == self.model.stage(self.now)

    @rule(age=durations, limit=st.integers(1, 5), process=st.integers(0, 1))
    def prune(self, age: int, limit: int, process: int) -> None:
        """Prune to the end, and once more: a step before may have stopped half-way."""
        before, deleted, ends = self.now - age, 0, 0
        for _ in range(2 * len(self.model.entries) + 4):
            step = self.processes[process].prune(before, limit)
            assert step.deleted <= limit
            deleted += step.deleted
            ends += step.is_done
            if ends == 2:
                break
        else:
            raise AssertionError("pruning does not come to its end")
        expected = self.model.prune(before)
        assert deleted == len(expected)
        self.unseen += expected

    # What always holds

    @invariant()
    def every_job_is_where_it_should_be(self) -> None:
        known = [*self.model.entries, *self.unseen]
        found = {one.id: one for one in self.processes[0].get_results(known)}
        assert found.keys() == self.model.entries.keys()
        for job_id, one in found.items():
            entry = self.model.entries[job_id]
            assert one.state == entry.state
            assert self.model.is_told_of(entry, one)
            assert one.claim == (entry.claim if entry.state == State.RUNNING else None)
            assert one.finished_at == entry.finished_at
            assert one[:5] == entry.job[:5]
            assert one.arguments == entry.job.arguments

    @invariant()
    def the_counts_are_right(self) -> None:
        stats = self.processes[1].stats()
        ready = self.model.in_state(State.READY)
        counts: dict[str, int] = {}
        for entry in ready:
            counts[entry.job.queue_name] = counts.get(entry.job.queue_name, 0) + 1
        assert dict(stats.ready) == counts
        assert stats.running == len(self.model.in_state(State.RUNNING))
        assert stats.scheduled == len(self.model.in_state(State.SCHEDULED))
        assert stats.oldest_ready_at == min((one.available_at for one in ready), default=None)
        assert list(stats.workers) == sorted(one.id for one in self.model.leases)


@in_both_orders
def test_the_store_does_what_the_model_does(stores: Stores, kind: Kind) -> None:
    machine = type("Machine", (StoreMachine,), {"stores": stores, "kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=kind.histories,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
