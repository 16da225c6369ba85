"""Old maps: their records are deleted first, and rows only where there is no record any more.

So a map is whole as long as it is there, and nobody retries calls of which some are gone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mainspring.backends.database.map_ids import around, key_of, rows_of
from mainspring.backends.database.vendors import Dialect


class OldMaps(NamedTuple):
    """Maps that are to be deleted, by id."""

    ended: Sequence[str]
    given_up: Sequence[str]
    """They still take rows, and for long enough nobody has added or run any."""


def find_old(dialect: Dialect, cursor: Any, before: int, limit: int) -> OldMaps:
    """Return up to ``limit`` maps that ended before this moment, and those given up by then."""
    cursor.execute(dialect.sql("ended_maps"), (dialect.backend, before, limit))
    ended = [map_id for (map_id,) in cursor.fetchall()]
    cursor.execute(dialect.sql("old_open_maps"), (dialect.backend, before))
    still_open = [map_id for (map_id,) in cursor.fetchall()]
    given_up = [one for one in still_open if not _is_active(dialect, cursor, one, before)]
    return OldMaps(ended, given_up)


def delete(dialect: Dialect, cursor: Any, old: OldMaps, before: int) -> None:
    """Delete the records of old maps, unless they are no more what they were found to be.

    In a write transaction.
    """
    deleted = [*old.ended]
    for map_id in old.given_up:
        cursor.execute(dialect.sql("lock_map"), (map_id, dialect.backend))
        if cursor.fetchone() is not None and not _is_active(dialect, cursor, map_id, before):
            deleted.append(map_id)
    if deleted:
        cursor.executemany(dialect.sql("delete_map"), [(map_id, before) for map_id in deleted])


def without_rows(dialect: Dialect, cursor: Any, old: Sequence[str]) -> list[str]:
    """Return those of some old jobs, which are in their order, that are of no map that is there."""
    cursor.execute(dialect.sql("maps_between"), around(old[0], old[-1]))
    there = {key_of(map_id) for (map_id,) in cursor.fetchall()}
    return [job_id for job_id in old if key_of(job_id) not in there]


def _is_active(dialect: Dialect, cursor: Any, map_id: str, before: int) -> bool:
    cursor.execute(dialect.sql("is_map_active"), (*rows_of(map_id), before))
    return cursor.fetchone() is not None
