"""Look for work for an idle worker while claims skip dead entries."""

from typing import TYPE_CHECKING, Any

from mainspring.backends.database.skipping import Walk
from mainspring.backends.database.vendors.mysql.choosing import Choosing
from mainspring.backends.database.vendors.mysql.groups import group_of
from mainspring.backends.database.vendors.mysql.searches import Search, Searches, now_searched

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

type Found = tuple[bool, str | None]
"""Whether a job is ready or soon due, and the id of the newest held job."""


def look(
    dialect: "Dialect",
    cursor: Any,
    soon: int,
    choosing: Choosing,
    searches: Searches,
    walks: tuple[Walk, Walk],
) -> Found:
    """See :meth:`Dialect.look`. ``walks`` are the spans that may have ready jobs."""
    match [source for walk in walks for source in walk.sources]:
        case [only] if (search := searches.begin(only)) and not search.is_due:
            return _look_fresh(dialect, cursor, soon, searches, search)
    cursor.execute(dialect.sql("any_due"), (dialect.backend, dialect.due_from(), soon))
    is_due, newest_held = cursor.fetchone()
    return bool(is_due) or choosing.is_any_ready(cursor, walks), newest_held


def _look_fresh(
    dialect: "Dialect", cursor: Any, soon: int, searches: Searches, search: Search
) -> Found:
    # In one statement, as most workers look at a single source several times a second.
    until = now_searched()
    group = group_of(dialect.backend, search.source)
    due = dialect.backend, dialect.due_from(), soon
    ((is_fresh, is_due, newest_held),) = group.rows(cursor, "look_fresh", search.since, *due)
    if not is_fresh:
        searches.reached(search, until)
    return bool(is_fresh or is_due), newest_held
