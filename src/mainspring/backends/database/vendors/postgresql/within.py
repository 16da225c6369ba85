"""What happens on Django's connection, within the transaction of atomic tasks."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError
from psycopg import Connection, RawCursor
from psycopg.errors import InvalidSavepointSpecification, NoActiveSqlTransaction
from psycopg.pq import TransactionStatus

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.postgresql import session
from mainspring.backends.database.vendors.postgresql.text import columns
from mainspring.backends.transactions import Noted, as_rows
from mainspring.core.jobs import Outcome

_LONGEST_CANCEL: Final = 1.0  # seconds
_CHECK: Final = "SET CONSTRAINTS ALL IMMEDIATE"

_STATES: Final[Mapping[TransactionStatus, Literal["open", "failed"]]] = {
    TransactionStatus.INTRANS: "open",
    TransactionStatus.INERROR: "failed",
}


def conclude(connection: BaseDatabaseWrapper, savepoint: str) -> None:
    """Release the first savepoint and check deferred constraints, in one round trip.

    Before :func:`settle`, whose settings would become part of the plans of what these call.
    """
    release = connection.ops.savepoint_commit_sql(savepoint)
    with connection.wrap_database_errors, RawCursor(connection.connection) as cursor:
        try:
            cursor.execute(f"{release}; {_CHECK}".encode(), prepare=False)
        except (InvalidSavepointSpecification, NoActiveSqlTransaction) as error:
            raise TransactionManagementError(str(error)) from error


def settle(
    connection: BaseDatabaseWrapper, outcomes: Sequence[Outcome], noted: Sequence[Noted]
) -> int:
    """Write metadata and outcomes in one round trip; return how many claims held."""
    raw: Connection[Any] = connection.connection
    cursor, other = RawCursor(raw), RawCursor(raw)
    with connection.wrap_database_errors, session.pipeline(raw):
        session.tune_transaction(other)
        for row in as_rows(noted):
            other.execute(statement("postgresql", "save_metadata").encode(), row)
        cursor.execute(statement("postgresql", "settle").encode(), columns(outcomes))
    return cursor.rowcount


def state_of(connection: BaseDatabaseWrapper) -> Literal["open", "failed", "ended"]:
    """Return what the server said of the transaction with its last answer."""
    raw: Connection[Any] = connection.connection
    return _STATES.get(raw.info.transaction_status, "ended")


def stop_statement(connection: BaseDatabaseWrapper) -> None:
    """Have the server give up what it still executes: it does not notice that nobody waits."""
    raw: Connection[Any] | None = connection.connection
    if raw is not None and raw.info.transaction_status == TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            raw.cancel_safe(timeout=_LONGEST_CANCEL)
