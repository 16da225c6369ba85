"""Jobs and workers for tests of the storage verbs; moments are microseconds after ``START``."""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from mainspring.backends.storage import LostWorker, Rescued, Storage, lease_ended
from mainspring.core import codec, outcomes
from mainspring.core.clock import SECOND
from mainspring.core.errors import TaskError
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, Outcome, State, Worker

START = 1_700_000_000_000_000
DAY = 24 * 3600 * SECOND
LEASE = 30 * SECOND
TASK = "tests.contract.tasks.add"
ALL = ("*",)

LOST = TaskError("mainspring.exceptions.WorkerLost", "mainspring.exceptions.WorkerLost: died\n")
STOPPED = TaskError("mainspring.exceptions.WorkerStopped", "…WorkerStopped: ran out of time\n")

_tokens = count(1)


def worker(name: str = "worker") -> Worker:
    """Return a new worker."""
    token = next(_tokens)
    return Worker(f"{name}-{token}", token)


def registered(storage: Storage, now: int = START) -> Worker:
    """Return a new worker whose lease has begun."""
    one = worker()
    storage.heartbeat(one, now)
    return one


def job(at: int = 0, *, backend: str = "default", **columns: Any) -> Job:
    """Return a job that became ready ``at``."""
    moment = START + at
    values = {
        "id": new_id(moment),
        "backend": backend,
        "task_path": TASK,
        "queue_name": "default",
        "priority": 0,
        "available_at": moment,
        "state": State.READY,
        "claim": None,
        "arguments": codec.NO_ARGUMENTS,
        "run_after": None,
        "enqueued_at": moment,
    }
    return Job(**(values | columns))


def deferred(due: int, at: int = 0, **columns: Any) -> Job:
    """Return a job that was enqueued ``at`` and is to wait until ``due``."""
    moment = START + due
    return job(at, available_at=moment, run_after=moment, state=State.SCHEDULED, **columns)


def enqueued(storage: Storage, *moments: int, **columns: Any) -> list[Job]:
    """Enqueue a job for each moment and return them."""
    jobs = [job(at, **columns) for at in moments]
    storage.enqueue(jobs)
    return jobs


def claimed(storage: Storage, one: Worker, *moments: int, **columns: Any) -> list[Job]:
    """Enqueue jobs, have all that are ready claimed, and return those of the moments, in order."""
    wanted = [one.id for one in enqueued(storage, *moments, **columns)]
    found = {job.id: job for job in storage.claim(one, ALL, 1000)}
    return [found[job_id] for job_id in wanted]


def ids(jobs: Iterable[Job]) -> list[str]:
    """Return the ids of jobs."""
    return [job.id for job in jobs]


def stored(storage: Storage, job_id: str) -> Job:
    """Return a job as it is stored now."""
    (found,) = storage.get_results([job_id])
    return found


def state_of(storage: Storage, job_id: str) -> State:
    """Return the state of a job."""
    return State(stored(storage, job_id).state)


def succeeded(one: Job, by: Worker, at: int = SECOND, value: bytes | None = b"1") -> Outcome:
    """Return the outcome of a task that ran for the second before ``at``."""
    return outcomes.succeeded(one, by.id, START + at - SECOND, START + at, value)


def failed(one: Job, by: Worker, at: int = SECOND, retry_after: int | None = None) -> Outcome:
    """Return the outcome of a task that ran for the second before ``at`` and raised."""
    error = TaskError("builtins.ValueError", "ValueError: no\n")
    retry_at = None if retry_after is None else START + at + retry_after
    return outcomes.failed(one, by.id, START + at - SECOND, START + at, error, retry_at)


def as_stored(error: TaskError, by: Worker, started_at: int, finished_at: int) -> list[Any]:
    """Return the error of an attempt in the form in which it is stored."""
    return [error.exception_class_path, error.traceback, started_at, finished_at, by.id]


def died(one: Worker, started: Sequence[Job] = (), error: TaskError = LOST) -> LostWorker:
    """Return a worker that is known to be dead, having started these jobs at ``START``."""
    return LostWorker(one.id, dict.fromkeys(ids(started), START), error)


def silent(storage: Storage, now: int) -> list[LostWorker]:
    """Return the workers whose lease has ended, by a clock that all share."""
    return [lease_ended(lease) for lease in storage.leases() if lease.ends_at <= now]


def rescue_silent(storage: Storage, now: int) -> list[Rescued]:
    """Rescue what the workers have left whose lease has ended."""
    return storage.rescue(now, silent(storage, now))


def in_order(kind_order: str, moments: Iterable[int]) -> list[int]:
    """Return moments of one priority in the order in which they are to be claimed."""
    return sorted(moments, reverse=kind_order == "lifo")


def finish(storage: Storage, one: Worker, at: int, *, finished_at: int, **columns: Any) -> Job:
    """Enqueue a job, claim it, settle it, and return it as it was claimed."""
    (taken,) = claimed(storage, one, at, **columns)
    assert storage.settle(one, [succeeded(taken, one, finished_at)]) == []
    return taken


def picked[T](things: Sequence[T], places: Iterable[int]) -> list[T]:
    """Return some of the things, each once, by numbers that may be larger than there are things.

    So what hypothesis draws does not hang on what a store, which may choose, has done so far.
    """
    return list(dict.fromkeys(things[place % len(things)] for place in places)) if things else []
