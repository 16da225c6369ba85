"""Read the unfinished maps in batches, with at most two statements for each."""

from typing import TYPE_CHECKING, Any

from mainspring.backends.database.map_ids import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mainspring.backends.database.vendors.base import Dialect, Row


def some_unfinished(dialect: "Dialect", cursor: Any, after: str, most: int) -> "Sequence[Row]":
    """Return up to ``most`` maps after an id, by id: each with True if all its rows have ended.

    While a map takes more rows, this is False.
    """
    cursor.execute(dialect.sql("some_unfinished_maps"), (dialect.backend, after, most))
    maps: Sequence[Row] = cursor.fetchall()
    if dialect.vendor != "mysql":
        return maps
    closed = [map_id for map_id, is_closed in maps if is_closed]
    if not closed:
        return maps
    sql = " UNION ALL ".join([dialect.sql("has_unfinished_row")] * len(closed))
    cursor.execute(sql, [value for one in closed for value in (one, *rows_of(one))])
    unfinished = {map_id for (map_id,) in cursor.fetchall()}
    return [(one, is_closed and one not in unfinished) for one, is_closed in maps]
