"""Unique calls: a table of keys, each with the job that stands for all calls of that key.

Who enqueues a call locks the row of its key, so that others of that key wait for the end of the
transaction. Nothing is to be done when a job starts or finishes: the next to enqueue looks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.storing import store
from mainspring.backends.database.vendors import Dialect
from mainspring.core import codec
from mainspring.core.chunks import as_seen
from mainspring.core.clock import now
from mainspring.core.jobs import NEW_COLUMNS, Job, State
from mainspring.core.outcomes import duplicate_errors
from mainspring.core.unique import Unique

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Row

type _Firsts = dict[str, tuple[Job, Unique]]


def enqueue_unique(
    connection: BaseDatabaseWrapper,
    dialect: Dialect,
    calls: Sequence[tuple[Job, Unique | None]],
    is_again: bool,
) -> list[Job]:
    """Do :meth:`Storage.enqueue_unique` in the caller's transaction.

    ``is_again``: an earlier try may have stored them.
    """
    # By key, so that those who enqueue many do not wait for each other crosswise.
    firsts: _Firsts = {}
    for job, unique in sorted(
        ((job, unique) for job, unique in calls if unique is not None),
        key=lambda call: call[1].key,
    ):
        firsts.setdefault(unique.key, (job, unique))
    with transaction.atomic(dialect.alias):
        with connection.cursor() as cursor:
            pending = _pending(dialect, cursor, firsts)
        stands = {key: pending.get(key, job) for key, (job, _) in firsts.items()}
        stored = [job if unique is None else stands[unique.key] for job, unique in calls]
        new = [job for (job, _), one in zip(calls, stored, strict=True) if job is one]
        if new:
            store(connection, dialect, [job[:NEW_COLUMNS] for job in new], is_again)
    return stored


def store_duplicates(
    connection: BaseDatabaseWrapper,
    dialect: Dialect,
    calls: Sequence[tuple[Job, Unique | None]],
    stored: Sequence[Job],
    is_again: bool,
) -> None:
    """Store the rows of a map for which other jobs stand, as cancelled; in a transaction.

    ``stored``: what :func:`enqueue_unique` has returned for ``calls``.
    """
    equals = {
        row.id: as_seen(one).id
        for (row, _), one in zip(calls, stored, strict=True)
        if row.id != one.id
    }
    if not equals:
        return
    rows = [row[:NEW_COLUMNS] for row, _ in calls if row.id in equals]
    store(connection, dialect, rows, is_again)
    with connection.cursor() as cursor:
        for row_id, equal_id in equals.items():
            for _, _, limit_group in dialect.cancel(cursor, row_id, now()):
                told = (duplicate_errors(equal_id), row_id)
                cursor.execute(dialect.sql("tell_cancelled"), told)
                if limit_group is not None:
                    cursor.execute(dialect.sql("delete_held"), (row_id,))


def _pending(dialect: Dialect, cursor: Any, firsts: _Firsts) -> dict[str, Job]:
    # Return, by key, the jobs that stand for new ones. All other keys are those of the new ones.
    held = {
        key: (job_id, expires_at)
        for key, job_id, expires_at in dialect.lock_keys(cursor, _rows(firsts))
    }
    others = {held[key][0]: key for key, (job, _) in firsts.items() if held[key][0] != job.id}
    pending = {}
    for holder in _read(dialect, cursor, firsts, others):
        key = others[holder.id]
        job, unique = firsts[key]
        if unique.counts(holder.state, held[key][1], job.enqueued_at):
            pending[key] = holder
    free = {key: firsts[key] for key in others.values() if key not in pending}
    if free:
        cursor.execute(dialect.sql("take_keys"), (_rows(free),))
    return pending


def _read(dialect: Dialect, cursor: Any, firsts: _Firsts, others: dict[str, str]) -> list[Job]:
    # What waits to start is locked, so that it does not start before the caller commits; what
    # runs is not, or its settle would wait as long.
    if not others:
        return []
    rows = list(dialect.lock_waiting(cursor, list(others)))
    waiting = {row[0] for row in rows}
    rest = [
        job_id
        for job_id, key in others.items()
        if job_id not in waiting and firsts[key][1].until > State.RUNNING
    ]
    if rest:
        cursor.execute(dialect.sql("get_results"), (dialect.ids(rest), dialect.backend))
        rows += cursor.fetchall()
    return [Job(*row) for row in rows]


def _rows(firsts: _Firsts) -> str:
    return codec.encode(
        [(key, job.id, unique.expires_at) for key, (job, unique) in firsts.items()]
    ).decode()


def forget_keys(dialect: Dialect, cursor: Any, job_ids: Sequence[str]) -> set[str]:
    """Delete the keys of jobs that are to be deleted; return the jobs that have to stay for now.

    Those are the ones whose keys somebody has locked, who may still roll back. In a write
    transaction on a worker's connection.
    """
    ids = dialect.ids(job_ids)
    if not _holders(dialect, cursor, ids):
        return set()
    cursor.execute(dialect.sql("free_keys"), (ids,))
    if free := cursor.fetchall():
        cursor.executemany(dialect.sql("delete_key"), free)
    return _holders(dialect, cursor, ids)


def _holders(dialect: Dialect, cursor: Any, ids: Any) -> set[str]:
    cursor.execute(dialect.sql("key_holders"), (ids,))
    rows: list[Row] = cursor.fetchall()
    return {job_id for (job_id,) in rows}
