"""What is imported before the worker forks; EARLY names what to do then."""

import asyncio
import atexit
import logging
import os
import queue
import random
import tempfile
import threading
import time
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from jobs.tasks import FOLDER, append

from mainspring import task
from mainspring.signals import WorkerProcess, worker_process_started, worker_process_stopping

_wanted = os.environ.get("EARLY", "").split(",")


def _query(number: int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [number])
        return cursor.fetchone()[0]


@task
def selects(number: int) -> int:
    """Return the number as the database has it."""
    found: int = _query(number)
    connection.close()
    return found


@task
async def aselects(number: int) -> int:
    """Do as ``selects`` does, in the thread for sync code."""
    return await sync_to_async(selects.func)(number)


if "query" in _wanted:
    _query(0)
if "async" in _wanted:

    async def _asks() -> None:
        await sync_to_async(_query)(0)

    asyncio.run(_asks())


# Threads, exit handlers, generators of random numbers

_logger = logging.getLogger("early")
_folder = tempfile.TemporaryDirectory()
_generator = random.Random(7)


def _listen(queued: Any) -> None:
    listener = QueueListener(queued, logging.FileHandler(FOLDER / "queued.log"))
    listener.start()
    _logger.addHandler(QueueHandler(queued))
    _logger.setLevel(logging.INFO)
    _logger.info("before the fork")
    atexit.register(lambda: _logger.info("at the end of %s", os.getpid()))


def _living(*, signal: Any, details: WorkerProcess, **_kwargs: Any) -> None:
    if signal is worker_process_started:
        _generator.seed()
    what = "started" if signal is worker_process_started else "stopping"
    append("life", what, os.getpid(), details.worker_id, details.backend)


@task
def logs(number: int) -> None:
    """Log a line."""
    _logger.info("line %d", number)


@task
def lives() -> None:
    """Say that it runs."""
    append("life", "runs", os.getpid())


@task
def draws() -> list[float]:
    """Draw random numbers."""
    time.sleep(0.05)
    return [_generator.random() for _ in range(3)]


@task
def has_folder() -> bool:
    """Return whether the temporary folder of the module is there."""
    return Path(_folder.name).is_dir()


@task
def leaves_thread(seconds: float) -> None:
    """Leave a thread that says when it ends."""

    def work() -> None:
        time.sleep(seconds)
        append("life", "thread", os.getpid())

    threading.Thread(target=work, name="a-slow-thread").start()


if "queue" in _wanted:
    _listen(queue.Queue())
if "simple" in _wanted:
    _listen(queue.SimpleQueue())
if "life" in _wanted:
    worker_process_started.connect(_living)
    worker_process_stopping.connect(_living)
    atexit.register(lambda: append("life", "exits", os.getpid()))
