"""Bulk: enqueues many calls of one task at once, each of them a job, all or none."""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mainspring.backends.item_taking import pull, take_async
from mainspring.backends.spooled_jobs import SpooledJobs
from mainspring.core.arguments import Arguments, as_arguments
from mainspring.core.chunks import as_seen
from mainspring.core.enqueued import EnqueuedResults
from mainspring.core.jobs import Job
from mainspring.core.tasks import Task
from mainspring.core.unique import Unique, unique_of

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


def gather(
    backend: "MainspringBackend", task: Task[..., Any], calls: Iterable[Arguments]
) -> Sequence[Arguments] | SpooledJobs:
    """Return calls when all of them are there, as jobs in a file where they are very many.

    An iterator may read the very database that they go to, and take its time: it comes to its end
    before anything is stored.
    """
    if isinstance(calls, list | tuple):
        return calls
    if getattr(task, "unique", False):
        return list(calls)
    iterator = iter(calls)
    first = list(islice(iterator, _MOST_HELD))
    if len(first) < _MOST_HELD:
        return first
    return SpooledJobs(_made(chain(first, iterator), backend.job_maker(task)))


async def agather(
    backend: "MainspringBackend", task: Task[..., Any], calls: AsyncIterable[Arguments]
) -> Sequence[Arguments] | SpooledJobs:
    """Do :func:`gather`, in a thread that no other async code waits for: ``calls`` may need it."""
    async with aclosing(take_async(calls, lambda: _BATCH)) as taking:
        pulled = pull(taking, asyncio.get_running_loop())
        return await asyncio.to_thread(gather, backend, task, pulled)


def store(
    backend: "MainspringBackend",
    task: Task[..., Any],
    gathered: Sequence[Arguments] | SpooledJobs,
) -> Stored:
    """Store calls, all or none; see :meth:`Task.enqueue_many`."""
    if isinstance(gathered, SpooledJobs):
        backend.storage.enqueue_batches(gathered.batches)
        return Stored(EnqueuedResults(gathered), gathered)
    if getattr(task, "unique", False):
        return _store_unique(backend, task, gathered)
    return _store_made(backend, task, gathered)


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
    new_job = backend.job_maker(task)

    def make(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Job, Unique | None]:
        job = new_job(args, kwargs)
        return job, unique_of(task, job)

    made = list(_made(calls, make))
    stored = backend.storage.enqueue_unique(made)
    new = [job for (job, _), one in zip(made, stored, strict=True) if job.id == one.id]
    return Stored(EnqueuedResults(list(map(as_seen, stored))), new)


def _made[T](
    calls: Iterable[Arguments], make: Callable[[Sequence[Any], Mapping[str, Any]], T]
) -> Iterator[T]:
    number = 0
    try:
        for call in calls:
            args, kwargs = (call, _NO_KEYWORDS) if type(call) is tuple else as_arguments(call)
            made = make(args, kwargs)
            number += 1
            yield made
    except (TypeError, ValueError) as error:
        error.add_note(f"In call {number} (counted from 0) of enqueue_many().")
        raise
