"""Look for work for an idle worker."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mainspring.backends.database.skipping import Skipping
from mainspring.backends.database.vendors.postgresql import spans

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

_LONG: Final = 0.005  # seconds; a look that takes longer may be walking over dead entries


def look(
    dialect: "Dialect", cursor: Any, soon: int, skipping: Skipping, suspect: Callable[[], None]
) -> tuple[bool, str | None]:
    """See :meth:`Dialect.look`. Calls ``suspect`` if the look takes long."""
    walks = skipping.look()
    begun = time.monotonic()
    if walks is None:
        cursor.execute(dialect.sql("any_ready"), (dialect.backend, soon))
    else:
        named, others = walks
        leave_out = [name for source in others.sources for name in source.leave_out]
        values = (*spans.columns(named), leave_out, *spans.columns(others)[1:])
        cursor.execute(
            dialect.sql("any_ready_in"), (dialect.backend, soon, *values, dialect.due_from())
        )
    is_any_ready, newest_held = cursor.fetchone()
    if time.monotonic() - begun > _LONG:
        suspect()
    if walks is not None and not is_any_ready:
        for walk in walks:
            walk.passed([], 1)
    return bool(is_any_ready), newest_held
