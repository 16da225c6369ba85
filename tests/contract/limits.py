"""Jobs with limits, for tests of the storage verbs."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.limits import Bound, group_of
from tests.contract.jobs import ALL, START, job, state_of


def slots(number: int, name: str = "slots") -> Bound:
    """Return a limit of the calls that run at a time."""
    return Bound(f"c:{name}", number)


def starts(number: int, seconds: float = 60, name: str = "starts") -> Bound:
    """Return a limit of the calls that start in a while."""
    return Bound(f"r:{name}", number, round(seconds * SECOND))


def limited(at: int, *bounds: Bound, **columns: Any) -> Job:
    """Return a job that became available ``at`` and has to wait for these limits."""
    return job(at, **{"state": State.HELD, "limit_group": group_of(bounds), **columns})


def held(storage: Storage, bounds: Sequence[Bound], *moments: int, **columns: Any) -> list[Job]:
    """Enqueue a job with these limits for each moment and return them."""
    jobs = [limited(at, *bounds, **columns) for at in moments]
    storage.enqueue(jobs)
    return jobs


def admit(storage: Storage, at: int = 0) -> int:
    """Admit whom there is room for; return how many."""
    return storage.admit(START + at).admitted


def most_at_once(spans: Sequence[Sequence[int]]) -> int:
    """Return how many of some spans, of a begin and an end, overlap at most."""
    changes = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    return max(accumulate((change for _, change in changes), initial=0))


def states(storage: Storage, jobs: Sequence[Job]) -> list[State]:
    """Return the states of jobs."""
    return [state_of(storage, one.id) for one in jobs]


def claim(storage: Storage, worker: Worker, limit: int = 100) -> list[Job]:
    """Claim from any queue."""
    return storage.claim(worker, ALL, limit)
