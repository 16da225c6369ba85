"""Track the limit groups with waiting jobs, and choose the next ones to look at.

If there are few groups, each look covers all of them. If there are many, it covers some: those
whose rate limits have room again, those of the newest jobs, and all others in turn.
"""

from collections.abc import Collection, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from mainspring.backends.locks import renewed
from mainspring.core.agenda import Agenda
from mainspring.core.clock import SECOND
from mainspring.core.ids import first_id_at
from mainspring.core.limits import known_bounds_of

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

MOST: Final = 200
"""Maximum number of groups of each kind in one look."""
_EVERY: Final = SECOND  # until the next batch of other groups
_RARELY: Final = 8 * SECOND  # after a round that admitted nothing, as a batch takes up to 10 ms
_LATE: Final = SECOND  # tolerated difference of the clocks that make ids


class HeldGroups:
    """The groups of one backend alias, as known by one process."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._sharing: dict[str, set[str]] = {}  # by the names of their limits
        self._opens = Agenda()  # when a rate has room for a group that waits only for that
        self._after = ""  # where the next batch of others starts
        self._unseen: set[str] = set()  # known when this round began, not found since
        self._rest = _EVERY
        self._is_in_vain = True  # nothing was admitted in this round
        self._are_many = False
        self._next_others = 0
        self._looked_at = 0
        self._hurried = 1  # rounds to complete without a rest
        self._lock = renewed(Lock())  # the loops read, and all settling threads write

    def add(self, groups: Iterable[str]) -> None:
        """Record that jobs wait in these groups."""
        with self._lock:
            for group in groups:
                self._unseen.discard(group)
                if group not in self._known:
                    self._known.add(group)
                    for bound in known_bounds_of(group):
                        self._sharing.setdefault(bound.name, set()).add(group)

    def discard(self, groups: Iterable[str]) -> None:
        """Record that no jobs wait in these groups."""
        with self._lock:
            for group in groups:
                if group in self._known:
                    self._forget(group)

    def _forget(self, group: str) -> None:
        self._known.discard(group)
        self._opens.put(group, None)
        for bound in known_bounds_of(group):
            self._sharing[bound.name].discard(group)
            if not self._sharing[bound.name]:
                del self._sharing[bound.name]

    def sharing(self, groups: Collection[str]) -> set[str]:
        """Return the known waiting groups that share a limit with the given ones."""
        names = {bound.name for group in groups for bound in known_bounds_of(group)}
        with self._lock:
            return {group for name in names for group in self._sharing.get(name, ())}

    def hurry(self) -> None:
        """Look at all groups soon: some may have room, and it is not known which."""
        self._hurried = 2  # the rest of this round, and a whole one
        self._rest = _EVERY

    def go_on(self) -> None:
        """Look at the next groups of this round without a rest, because some just had room."""
        self._rest, self._is_in_vain = _EVERY, False
        if self._after:
            self._hurried = max(self._hurried, 1)

    def choose(self, dialect: "Dialect", cursor: Any, now: int) -> set[str]:
        """Return the groups to look at now; all of them if they are few."""
        chosen = set[str]()
        if self._are_many:
            with self._lock:
                chosen |= self._opens.take_due(now, MOST).keys()
            chosen |= self._newest(dialect, cursor)
        self._looked_at = now
        is_turn = not 0 < self._next_others - now <= self._rest
        if not self._are_many or self._hurried or is_turn:
            chosen |= self._others(dialect, cursor, now)
        return chosen

    def _newest(self, dialect: "Dialect", cursor: Any) -> set[str]:
        first_id = first_id_at(self._looked_at - _LATE)
        cursor.execute(dialect.sql("newest_held"), (dialect.backend, first_id, MOST))
        groups = {group for (group,) in cursor.fetchall()}
        self.add(groups)
        return groups

    def _others(self, dialect: "Dialect", cursor: Any, now: int) -> set[str]:
        after = self._after
        if not after:
            with self._lock:
                self._unseen = self._known.copy()
        groups = dialect.held_groups(cursor, after, MOST)
        self.add(groups)
        self._after = max(groups) if len(groups) >= MOST else ""
        self._are_many = bool(after or self._after)
        if not self._after:
            self._hurried = max(self._hurried - 1, 0)
            self._rest = _RARELY if self._are_many and self._is_in_vain else _EVERY
            self._is_in_vain = True
            self.discard(self._unseen)
        self._next_others = now + self._rest
        return groups

    def next_at(self, opens: dict[str, int]) -> int | None:
        """Return when to look next; ``opens`` is when there will be room for some groups."""
        if not self._are_many:
            return min(opens.values(), default=None)
        with self._lock:
            for group, moment in opens.items():
                if group in self._known:
                    self._opens.put(group, moment)
            return self._looked_at if self._hurried else self._opens.next_at
