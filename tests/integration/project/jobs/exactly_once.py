"""Atomic tasks: each writes one row to the table ``ledger`` of the queue's own database."""

import os
import signal
import time
from collections.abc import Callable

from django.db import connection

from jobs.tasks import there, write
from mainspring import TaskContext, task


def insert(job_id: str) -> None:
    """Write a row."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ledger VALUES (%s)", [job_id])


@task(atomic=True, takes_context=True)
def enter(context: TaskContext, seconds: float = 0.0) -> None:
    """Write a row, and take a while before and after."""
    time.sleep(seconds / 2)
    insert(context.task_result.id)
    time.sleep(seconds / 2)


@task(atomic=True)
def hold(name: str) -> None:
    """Say that it runs, and go on when told to."""
    write(f"{name}.started", name)
    while not there(f"{name}.go"):
        time.sleep(0.002)


@task(takes_context=True)
def enter_plainly(context: TaskContext) -> None:
    """Write a row; the outcome is stored later."""
    insert(context.task_result.id)


@task(atomic=True)
def increment(number: int) -> None:
    """Change one of a few rows that everybody changes."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET value = value + 1 WHERE id = %s", [number])


@task(atomic=True, takes_context=True)
def hold_entered(context: TaskContext, name: str) -> None:
    """Write a row, say so, and go on when told to."""
    insert(context.task_result.id)
    write(f"{name}.started", str(os.getpid()))
    while not there(f"{name}.go"):
        time.sleep(0.002)


@task(atomic=True, takes_context=True, timeout=0.5)
def wait_in_database(context: TaskContext) -> None:
    """Write a row, then wait for a statement that takes far too long."""
    insert(context.task_result.id)
    with connection.cursor() as cursor:
        cursor.execute(_WAIT[connection.vendor])


_WAIT = {
    "sqlite": """
        WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number)
        SELECT max(n) FROM (SELECT n FROM number LIMIT 20000000)
    """,
    "postgresql": "SELECT pg_sleep(100)",
    "mysql": "SELECT sleep(100)",
}


@task(atomic=True, takes_context=True)
def die_before_commit(context: TaskContext, name: str) -> None:
    """Write a row; the process dies instead of committing it, the first time."""
    insert(context.task_result.id)
    _replace_commit(name, lambda commit: None)


@task(atomic=True, takes_context=True)
def die_after_commit(context: TaskContext, name: str) -> None:
    """Write a row; the process dies as soon as it is committed, the first time."""
    insert(context.task_result.id)
    _replace_commit(name, lambda commit: commit())


def _replace_commit(name: str, then: Callable[[Callable[[], None]], None]) -> None:
    if there(name):
        return
    commit = connection._commit

    def die() -> None:
        then(commit)
        write(name, str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)

    connection._commit = die
