"""Tasks of the chaos tests that fork and hang; they have a queue of their own."""

import multiprocessing
import os
import sys
import time
from typing import Final

from jobs.tasks import append
from mainspring import TaskContext, task

_QUEUE: Final = "rough"
_HANGS: Final = 30  # seconds: far beyond the timeout
_WAYS: Final = 4


def _note(context: TaskContext) -> int:
    # Return a number that tells which of its ways a call is to go.
    result = context.task_result
    append("ledger", result.id, result.worker_ids[-1], os.getpid(), time.time())
    return int(result.id, 16) % _WAYS


@task(takes_context=True, queue_name=_QUEUE)
def forks(context: TaskContext) -> int:
    """Fork a child that ends in one of several ways; return how it ended."""
    way = _note(context)
    if way == 0:
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(_HANGS,))
        process.start()
        process.terminate()
        process.join()
        return way
    pid = os.fork()
    if not pid:
        if way == 1:
            sys.exit(0)
        if way == 2:
            raise ValueError("in the child")
        os._exit(0)
    os.waitpid(pid, 0)
    return way


@task(takes_context=True, queue_name=_QUEUE, timeout=0.3, max_attempts=1)
def hangs(context: TaskContext) -> None:
    """Take too long; half of the calls swallow what tells them to end, at first."""
    way = _note(context)
    end = time.monotonic() + _HANGS
    while time.monotonic() < end:
        try:
            time.sleep(0.1)
        except OSError:
            if way % 2 or time.monotonic() > end - _HANGS + 1:
                raise


@task(takes_context=True, queue_name=_QUEUE)
def innocent(context: TaskContext) -> None:
    """Run beside the others and have nothing to do with them."""
    _note(context)
