"""Other transactions beside the store's own: what they lock, and who waits for it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.contract.router import STORE

LONG: Final = 60.0  # seconds

_WAITING: Final = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
    # InnoDB answers out of a cache, and renews it a tenth of a second after it was last asked.
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx AS held"
    " JOIN information_schema.processlist AS session ON session.id = held.trx_mysql_thread_id"
    " WHERE held.trx_state = 'LOCK WAIT' AND session.db = database()",
}


@contextmanager
def another_connection() -> Iterator[BaseDatabaseWrapper]:
    """Give a connection of its own to the store's database."""
    connection = connections[STORE].copy()
    connection.inc_thread_sharing()
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def transaction_of_another() -> Iterator[Any]:
    """Give a cursor in a transaction that is rolled back at the end, unless it has ended."""
    with another_connection() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            yield cursor
        finally:
            cursor.execute("ROLLBACK")


def touch(cursor: Any, ids: Sequence[str]) -> None:
    """Update the rows of jobs, as an operator does."""
    for job_id in ids:
        cursor.execute("UPDATE mainspring_job SET priority = priority + 1 WHERE id = %s", (job_id,))


def wait_for_waiting(number: int = 1) -> None:
    """Wait until so many transactions wait for the locks of others."""
    deadline = time.monotonic() + LONG
    with another_connection() as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(_WAITING[connection.vendor])
            if cursor.fetchone()[0] >= number:
                return
            assert time.monotonic() < deadline, "nobody waits for a lock"
            time.sleep(0.15)
