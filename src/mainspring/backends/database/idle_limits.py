"""Limits that are of no more use: their rows are deleted some time after their last call."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from random import uniform
from typing import TYPE_CHECKING, Any, Final

from mainspring.core.admission import Seen, usage_of
from mainspring.core.clock import SECOND

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

_EVERY: Final = 60 * SECOND
_MOST: Final = 200

type Block = Callable[[], AbstractContextManager[Any]]
"""Gives a cursor of a worker's connection."""


class IdleLimits:
    """Looks once a minute, for one process, at limits of any backend alias."""

    def __init__(self, reading: Block, writing: Block) -> None:
        """``writing`` is a transaction."""
        self._reading = reading
        self._writing = writing
        self._due_at = 0

    def delete_if_due(self, dialect: "Dialect", now: int) -> None:
        """Delete those that have admitted nobody who matters any more."""
        if now < self._due_at:
            return
        self._due_at = now + round(_EVERY * uniform(0.5, 1.5))  # noqa: S311 # not all at once
        with self._reading() as cursor:
            cursor.execute(dialect.sql("idle_limits"), (now, _MOST))
            names = [name for (name,) in cursor.fetchall()]
        if names:
            with self._writing() as cursor:
                self._delete(dialect, cursor, names, now)

    def _delete(self, dialect: "Dialect", cursor: Any, names: list[str], now: int) -> None:
        found = dialect.lock_limits(cursor, names, is_alone=True)
        usages = {name: usage_of(name, bytes(used)) for name, used in found}
        seen = how_far(dialect, cursor, (i for usage in usages.values() for i in usage.ids))
        for usage in usages.values():
            usage.look(seen, now)
        kept = {name for name, usage in usages.items() if usage.idle_at(now) > now}
        if kept:
            rows = [(name, usages[name].stored(), usages[name].idle_at(now)) for name in kept]
            dialect.save_limits(cursor, rows)
        if gone := usages.keys() - kept:
            cursor.execute(dialect.sql("delete_limits"), (dialect.texts(sorted(gone)),))


def how_far(dialect: "Dialect", cursor: Any, ids: Iterable[str]) -> dict[str, Seen]:
    """Return how far those of these jobs are that are there."""
    wanted = list(ids)
    if not wanted:
        return {}
    cursor.execute(dialect.sql("admitted"), (dialect.texts(wanted),))
    return {job_id: Seen(state, attempted) for job_id, state, attempted in cursor.fetchall()}
