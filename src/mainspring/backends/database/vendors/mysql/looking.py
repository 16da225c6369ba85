"""Look for work for an idle worker while claims skip dead entries."""

from typing import TYPE_CHECKING, Any

from mainspring.backends.database.skipping import Walk
from mainspring.backends.database.vendors.mysql.claiming import Claims

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect


def look(
    dialect: "Dialect", cursor: Any, soon: int, claims: Claims, walks: tuple[Walk, Walk]
) -> tuple[bool, str | None]:
    """See :meth:`Dialect.look`. ``walks`` are the spans that may have ready jobs."""
    cursor.execute(dialect.sql("any_due"), (dialect.backend, dialect.due_from(), soon))
    is_due, newest_held = cursor.fetchone()
    is_ready = claims.is_any_ready(cursor, walks)
    if not is_ready:
        for walk in walks:
            walk.passed([], 1)
    return bool(is_due) or is_ready, newest_held
