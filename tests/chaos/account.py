"""The account of a run: what became of every call, and whether every execution is on record."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mainspring.core.jobs import State
from tests.chaos.ledger import Ledger
from tests.integration.sites import Seen, Site
from tests.integration.waiting import wait_until

ATOMIC = "jobs.chaos.enter"
"""An atomic task, of which each run has some calls."""

DATABASE_ERRORS = frozenset({"OperationalError", "InterfaceError"})
"""What a task meets that uses a database which goes away."""

_ENDS = (State.SUCCESSFUL, State.FAILED)


@dataclass(frozen=True)
class Account:
    """What became of the calls of one run."""

    jobs: dict[str, Seen]
    executions: dict[str, list[str]]
    """The workers that executed each call, by the ledger."""
    rows: Counter[str]
    """How many rows each call has in the ledger's table."""
    others: Collection[str] = ()
    """The ids of those that the test has stored itself."""

    @classmethod
    def of(cls, site: Site, ledger: Ledger, others: Collection[str] = ()) -> "Account":
        """Take stock of what a site's store and ledger hold now."""
        ledger.read()
        jobs = {job.id: job for job in site.jobs()}
        return cls(jobs, dict(ledger.executions), ledger.rows(), others)

    @cached_property
    def atomic(self) -> dict[str, Seen]:
        """The calls of atomic tasks."""
        return {job.id: job for job in self.jobs.values() if job.task == ATOMIC}

    @property
    def errors(self) -> Counter[str]:
        """How many attempts have ended with each error."""
        return Counter(kind for job in self.jobs.values() for kind in job.kinds)

    @property
    def attempts(self) -> int:
        """How many attempts are on record."""
        return sum(len(job.workers) for job in self.jobs.values())

    @property
    def repeated(self) -> dict[str, list[str]]:
        """The calls that were executed more than once."""
        return {one: workers for one, workers in self.executions.items() if len(workers) > 1}

    def unaccounted(self) -> dict[str, list[str]]:
        """Return the executions that are not on record as an attempt of the same worker.

        Without those of atomic tasks: what was rolled back with others' work is executed again
        without ado. Of a claim that reached the store after its worker had been given up, the
        record does not name the worker.
        """
        found = {}
        for job_id, workers in self.executions.items():
            recorded = self.jobs[job_id].workers if job_id in self.jobs else []
            extra = list((Counter(workers) - Counter(recorded)).elements())
            nameless = sum(one.startswith("unregistered-") for one in recorded)
            if len(extra) > nameless and job_id not in self.atomic:
                found[job_id] = extra
        return found

    def lost(self, ids: Collection[str]) -> set[str]:
        """Return which of these calls, that were accepted, are not there or have no outcome."""
        return {one for one in ids if one not in self.jobs or self.jobs[one].state not in _ENDS}

    def table(self, ids: Collection[str]) -> dict[str, Any]:
        """Return what every run's table says; ``ids`` are of the calls that were accepted."""
        states = Counter(job.state for job in self.jobs.values())
        return {
            "calls": len(ids),
            "  successful": states[State.SUCCESSFUL],
            "  failed": states[State.FAILED],
            "  left running": states[State.RUNNING],
            "  lost, or left in another state": len(self.lost(ids)),
            "executions": sum(map(len, self.executions.values())),
            "  of calls that were executed more than once": len(self.repeated),
            "  not on record": sum(map(len, self.unaccounted().values())),
            "attempts on record": self.attempts,
            **{f"  ended by {kind}": number for kind, number in sorted(self.errors.items())},
            "calls of atomic tasks": len(self.atomic),
            "  rows that they wrote": self.rows.total(),
            "  rows too many or missing": self._wrong_rows().total(),
        }

    def check_atomic_alone(self, errors: Collection[str]) -> None:
        """Check that no calls but those of atomic tasks have had one of these errors."""
        assert [job for job in self.jobs.values() if set(job.kinds) & set(errors)] == [
            job for job in self.atomic.values() if set(job.kinds) & set(errors)
        ]

    def _wrong_rows(self) -> Counter[str]:
        # Exactly one of each call that was successful.
        expected = Counter(job.id for job in self.atomic.values() if job.state == State.SUCCESSFUL)
        return (self.rows - expected) + (expected - self.rows)

    def check(self, ids: Collection[str], errors: Collection[str] = ()) -> None:
        """Check that nothing is lost, left or unaccounted for; attempts may end by ``errors``."""
        assert self.lost(ids) == set()
        assert self.unaccounted() == {}
        assert self._wrong_rows() == Counter()
        assert {job.state for job in self.jobs.values()} <= set(_ENDS)
        assert set(self.errors) <= set(errors)
        assert self.atomic
        for job in self.jobs.values():
            # Each attempt but a successful one has the error that ended it.
            succeeded = job.state == State.SUCCESSFUL
            assert len(job.workers) == len(job.kinds) + succeeded, job
            assert not succeeded or self.executions.get(job.id), job


def wait_for_the_end(site: Site, ledger: Ledger) -> None:
    """Wait until no call is left without an outcome, as long as it goes on."""
    unfinished = "SELECT id FROM mainspring_job WHERE state < 3 LIMIT 5"
    while site.query(unfinished):
        goal = ledger.read() + 50
        try:
            wait_until(lambda goal=goal: ledger.read() > goal or not site.query(unfinished), 60)
        except AssertionError as error:
            left = [site.job(job_id) for (job_id,) in site.query(unfinished)]
            raise AssertionError(f"{error}; left are {left}; {site.states()}") from None


def check_tidiness(site: Site) -> None:
    """Wait until nothing is left of workers that were stopped; a lone process ends in a second."""
    wait_until(lambda: site.workers() == [], 10, "the end of all workers")
    wait_until(lambda: site.boards() == [], 10, "the end of all boards")
