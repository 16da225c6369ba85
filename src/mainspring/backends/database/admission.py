"""Admission: make jobs ready that wait for limits.

The row of each limit records which jobs it has admitted. A process that admits more holds the locks
on the rows of all limits concerned. Jobs with limits become active in no other way, so the numbers
counted under the locks can only decrease meanwhile, and no limit is ever exceeded. The next look
that finds a job finished, for whatever reason, frees its slot.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from operator import attrgetter
from random import sample
from typing import TYPE_CHECKING, Any, Final

from mainspring.backends.database.held_groups import HeldGroups
from mainspring.backends.database.idle_limits import Block, IdleLimits, how_far
from mainspring.core import clock
from mainspring.core.admission import Admitted, Candidate, Look, Seen
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Outcome
from mainspring.core.limits import short
from mainspring.core.ordering import FAIR_EVERY
from mainspring.exceptions import StoreLocked, StoreUnavailable

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

logger = logging.getLogger("mainspring")

_NOBODY: Final = Admitted(0, None)
_TRIES: Final = 5
_AGAIN: Final = SECOND // 10


class Admission:
    """Admits held jobs of one backend alias, for one process."""

    def __init__(self, backend: str, reading: Block, writing: Block) -> None:
        """The blocks give a cursor of a worker's connection, in a transaction or without."""
        self._owner = short(backend)
        self._reading = reading
        self._writing = writing
        self._groups = HeldGroups()
        self._turns = count(1)
        self._idle = IdleLimits(reading, writing)

    def admit(
        self,
        dialect: "Dialect",
        now: int,
        freed: Collection[str] | None,
        paused: Sequence[str],
    ) -> Admitted:
        """Admit jobs for which there is room: of all groups, or of those that share limits.

        With ``freed``, only groups that share a limit with those. If no job waits, only reads.
        """
        began = time.monotonic()

        def moment() -> int:
            return now + round((time.monotonic() - began) * SECOND)

        if freed is not None:
            groups = self.sharing(dialect, freed)
            return self._admit_from(dialect, groups, paused, moment) if groups else _NOBODY
        self._idle.delete_if_due(dialect, now)
        look = self._look(dialect, now)
        open_groups, opens = {*look.rooms(), *look.outdated()}, look.opens()
        if not open_groups:
            return Admitted(0, self._groups.next_at(opens))
        chosen = _some(open_groups, dialect.most_groups)
        admitted = self._admit_from(dialect, chosen, paused, moment)
        if admitted.admitted:
            self._groups.go_on()
        opens |= dict.fromkeys(open_groups - chosen, now)
        if admitted.next_at is not None:
            opens |= dict.fromkeys(chosen, admitted.next_at)
        return Admitted(admitted.admitted, self._groups.next_at(opens))

    def hurry(self) -> None:
        """Look at all groups soon, because some may have room again."""
        self._groups.hurry()

    # Which groups

    def _look(self, dialect: "Dialect", now: int) -> Look:
        # Without locks, because most of the time there is no room.
        with self._reading() as cursor:
            look = Look(self._groups.choose(dialect, cursor, now))
            if look.names:
                rows = self._rows(look)
                cursor.execute(dialect.sql("limits"), (dialect.texts(list(rows)),))
                look.read({rows[row]: bytes(used) for row, used in cursor.fetchall()})
                look.see(how_far(dialect, cursor, look.ids), now)
        return look

    def sharing(self, dialect: "Dialect", freed: Collection[str]) -> set[str]:
        """Return the groups with jobs that wait and share a limit with some that are freed.

        As far as they are known here: those that are freed themselves are asked for. Of very many,
        some that chance chooses: the stager comes to the others.
        """
        groups = self._groups.sharing(freed)
        if unknown := set(freed) - groups:
            with self._reading() as cursor:
                found = dialect.holding(cursor, sorted(_some(unknown, dialect.most_groups)))
            self._groups.add(found)
            groups |= found
        return _some(groups, dialect.most_groups)

    # One transaction

    def _admit_from(
        self,
        dialect: "Dialect",
        groups: Collection[str],
        paused: Sequence[str],
        moment: Callable[[], int],
    ) -> Admitted:
        for _ in range(_TRIES):
            try:
                admitted = self._admit_once(dialect, groups, paused, moment)
            except StoreLocked:  # locked by a process that stopped in the middle of it
                break
            except StoreUnavailable as error:
                cause = error.__cause__
                if not isinstance(cause, Exception) or not dialect.is_transient(cause):
                    raise
                continue
            if admitted is not None:
                return admitted
        return Admitted(0, moment() + _AGAIN)

    def _admit_once(
        self,
        dialect: "Dialect",
        groups: Collection[str],
        paused: Sequence[str],
        moment: Callable[[], int],
    ) -> Admitted | None:
        # None where a limit was not there; now it is.
        look = Look(groups)
        with self._writing() as cursor:
            self._lock(dialect, cursor, look, is_alone=True)
            names = [self._row(name) for name in look.missing]
            if not names:
                now = moment()
                look.see(how_far(dialect, cursor, look.ids), now)
                return self._admit_locked(dialect, cursor, look, paused, now)
        # In a transaction of its own: nobody waits for a new row while holding locks.
        with self._writing() as cursor:
            dialect.add_limits(cursor, names, moment())
        return None

    def _admit_locked(
        self, dialect: "Dialect", cursor: Any, look: Look, paused: Sequence[str], now: int
    ) -> Admitted:
        for name in look.damaged:
            logger.error(
                "The stored state of the limit %r cannot be read: the limit is reset", name
            )
        rooms = look.rooms()
        chosen: list[Candidate] = []
        if rooms:
            chosen = look.choose(self._candidates(dialect, cursor, rooms, paused))
        changes = [(self._row(name), used, at) for name, used, at in look.changes(now)]
        if chosen:
            dialect.admit(cursor, [one.id for one in chosen], changes)
            dialect.ready_again(abs(one.place) for one in chosen)
        elif changes:
            dialect.save_limits(cursor, changes)
        return Admitted(len(chosen), look.next_at())

    def _candidates(
        self, dialect: "Dialect", cursor: Any, rooms: Mapping[str, int], paused: Sequence[str]
    ) -> list[Candidate]:
        rows = [Candidate(*row) for row in dialect.first_held(cursor, rooms, paused)]
        found = dict.fromkeys(one.group for one in rows)
        self._groups.discard(rooms.keys() - found.keys())
        rows.sort(key=attrgetter("level", "place", "id"))
        if not found or next(self._turns) % FAIR_EVERY:
            return rows
        longest = [Candidate(*row) for row in dialect.longest_held(cursor, list(found), paused)]
        longest.sort(key=lambda one: abs(one.place))  # when they became available
        return list(dict.fromkeys((*longest, *rows)))

    def admit_within(
        self,
        dialect: "Dialect",
        cursor: Any,
        groups: Collection[str],
        paused: Sequence[str],
        settled: Callable[[], Mapping[str, Seen]],
    ) -> int:
        """Admit from these groups in a transaction that does more; return how many.

        None at all where a limit is not there. ``settled``, once the locks are held, are jobs that
        the transaction itself has settled, if that is known: where these make room, nothing else
        need be looked at.
        """
        look = Look(groups)
        self._lock(dialect, cursor, look, is_alone=False)
        if look.missing:
            return 0
        now = clock.now()
        ended = settled()
        look.see(ended, now, are_all_seen=False)
        if not (ended and look.rooms()):
            look.see(how_far(dialect, cursor, look.ids), now)
        return self._admit_locked(dialect, cursor, look, paused, now).admitted

    def _lock(self, dialect: "Dialect", cursor: Any, look: Look, is_alone: bool) -> None:
        rows = self._rows(look)
        found = dialect.lock_limits(cursor, list(rows), is_alone)
        look.read({rows[row]: bytes(used) for row, used in found})

    def _rows(self, look: Look) -> dict[str, str]:
        return {self._row(name): name for name in look.names}

    def _row(self, name: str) -> str:
        # What the limit of this backend is known by; what kind of limit it is stays in front.
        return f"{name[:2]}{self._owner}:{name[2:]}"


def _some(groups: set[str], most: int) -> set[str]:
    return groups if len(groups) <= most else set(sample(sorted(groups), most))


class Admitting:
    """Admits from some groups between a settle and a claim, as often as these are tried."""

    def __init__(
        self,
        admission: Admission,
        dialect: "Dialect",
        groups: Collection[str],
        paused: Sequence[str],
        outcomes: Sequence[Outcome],
    ) -> None:
        self.admitted = 0
        """How many, at the last time."""
        self._admission = admission
        self._dialect = dialect
        self._groups = groups
        self._paused = paused
        self._ended = {one.id: Seen(one.state, one.last_attempted_at) for one in outcomes}

    def __call__(self, cursor: Any, are_all_settled: Callable[[], bool]) -> None:
        """Do it, with a cursor in the transaction.

        The transaction holds the outcomes that it has settled, so that they stay as they are; and
        that is known when the next answer has come.
        """

        def settled() -> Mapping[str, Seen]:
            return self._ended if are_all_settled() else {}

        self.admitted = self._admission.admit_within(
            self._dialect, cursor, self._groups, self._paused, settled
        )
