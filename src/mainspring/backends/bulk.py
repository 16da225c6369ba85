"""Bulk: enqueues many calls of one task at once, each of them a job, all or none."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mainspring.backends.spooled_jobs import SpooledJobs
from mainspring.core.arguments import Arguments, as_arguments
from mainspring.core.chunks import as_seen
from mainspring.core.enqueued import EnqueuedResults
from mainspring.core.jobs import Job
from mainspring.core.tasks import Task
from mainspring.core.unique import unique_of

if TYPE_CHECKING:
    from mainspring.backends.base import MainspringBackend

_BATCH: Final = 500  # calls: a server stores them while the next are made into jobs
_MOST_HELD: Final = 10_000  # calls of an iterator: more wait in a file until all are there


_NO_KEYWORDS: Final[Mapping[str, Any]] = {}


class Stored(NamedTuple):
    """What came of many calls."""

    results: EnqueuedResults[Any]
    new: Sequence[Job]
    """Without those for which an equal call stands."""


def store_calls(
    backend: "MainspringBackend", task: Task[..., Any], calls: Iterable[Arguments]
) -> Stored:
    """Store calls, all or none; see :meth:`Task.enqueue_many`."""
    # An iterator may read the very database that the jobs go to, and take its time: it comes to its
    # end before anything is stored.
    if getattr(task, "unique", False):
        return _store_unique(backend, task, list(calls))
    if isinstance(calls, list | tuple):
        return _store_made(backend, task, calls)
    iterator = iter(calls)
    first = list(islice(iterator, _MOST_HELD))
    if len(first) < _MOST_HELD:
        return _store_made(backend, task, first)
    calls = chain(first, iterator)
    jobs = SpooledJobs(_made(calls, backend.job_maker(task)))
    backend.storage.enqueue_batches(jobs.batches)
    return Stored(EnqueuedResults(jobs), jobs)


def _store_made(
    backend: "MainspringBackend", task: Task[..., Any], calls: Sequence[Arguments]
) -> Stored:
    jobs, making = list[Job](), _made(calls, backend.job_maker(task))

    def batches() -> Iterator[list[Job]]:
        while batch := list(islice(making, _BATCH)):
            jobs.extend(batch)
            yield batch

    backend.storage.enqueue_as_made(batches())
    return Stored(EnqueuedResults(jobs), jobs)


def _store_unique(
    backend: "MainspringBackend", task: Task[..., Any], calls: Sequence[Arguments]
) -> Stored:
    made = [(job, unique_of(task, job)) for job in _made(calls, backend.job_maker(task))]
    stored = backend.storage.enqueue_unique(made)
    new = [job for (job, _), one in zip(made, stored, strict=True) if job.id == one.id]
    return Stored(EnqueuedResults(list(map(as_seen, stored))), new)


def _made(
    calls: Iterable[Arguments], make: Callable[[Sequence[Any], Mapping[str, Any]], Job]
) -> Iterator[Job]:
    number = 0
    try:
        for call in calls:
            args, kwargs = (call, _NO_KEYWORDS) if type(call) is tuple else as_arguments(call)
            job = make(args, kwargs)
            number += 1
            yield job
    except (TypeError, ValueError) as error:
        error.add_note(f"In call {number} (counted from 0) of enqueue_many().")
        raise
