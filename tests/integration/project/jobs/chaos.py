"""Tasks of the chaos tests, which say what happens to them in files of lines."""

import asyncio
import time

from jobs.exactly_once import insert
from jobs.tasks import append, there
from mainspring import TaskCancelled, TaskContext, task

_LOOK = 0.005  # seconds
_HALF_AN_HOUR = 1800  # seconds: longer than any test, and shorter than the steps of a clock


def _note(file: str, context: TaskContext) -> None:
    result = context.task_result
    append(file, result.id, result.worker_ids[-1])


@task(takes_context=True, timeout=_HALF_AN_HOUR)
def until(context: TaskContext, name: str) -> None:
    """Run until the test has made the file ``name``; note it when told to end before."""
    _note("ledger", context)
    try:
        while not there(name):
            time.sleep(_LOOK)
    except TaskCancelled:
        _note("told", context)
        raise


@task(takes_context=True, timeout=_HALF_AN_HOUR)
async def auntil(context: TaskContext, name: str) -> None:
    """Do as ``until`` does, in the event loop."""
    _note("ledger", context)
    try:
        while not there(name):  # noqa: ASYNC110 # the test is another process
            await asyncio.sleep(_LOOK)
    except TaskCancelled:
        _note("told", context)
        raise


@task(takes_context=True, atomic=True, max_attempts=20, backoff=0.1)
def enter(context: TaskContext, seconds: float = 0.0) -> None:
    """Write a row to the ledger in the queue's own database, and take a while.

    Where that database goes away meanwhile, this fails, as any code would; then it is run again.
    """
    _note("ledger", context)
    insert(context.task_result.id)
    time.sleep(seconds)
