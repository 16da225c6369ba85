"""Admission: which of the calls that wait for limits may go on. Decided here, stored elsewhere.

For each limit, a store keeps the calls that it has admitted. Only one caller at a time reads and
changes this state.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, NamedTuple, Self

import msgspec

from mainspring.core import codec
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from mainspring.core.limits import MOST_RUNNING, Bound, bounds_of
from mainspring.exceptions import NewerFormat, Unreadable

_EXACT: Final = 1000  # moments of starts that a rate keeps apart
_MOST_WAITING: Final = MOST_RUNNING  # calls that a rate admits before they start
_OUTDATED: Final = SECOND
_AGAIN: Final = 60 * SECOND  # after which to look for calls that ended unreported


class Seen(NamedTuple):
    """How far a call is that was admitted."""

    state: int
    last_attempted_at: int | None


class Candidate(NamedTuple):
    """A call that waits."""

    id: str
    group: str
    level: int
    """What the order goes by: first the lower level, then the lower place."""
    place: int


class Admitted(NamedTuple):
    """What one look at limits did, and when the next is to be."""

    admitted: int
    """How many calls became ready."""
    next_at: int | None
    """When a rate has room for one that waits; None if none waits for that."""


class Slots:
    """Whom a limit of the calls that run at a time has admitted."""

    is_outdated = False
    """Whether to store it before long, though nobody is admitted."""

    def __init__(self, stored: bytes | None = None) -> None:
        self._ids: dict[str, None] = dict.fromkeys(_read_slots(stored) if stored else ())

    @property
    def ids(self) -> Iterable[str]:
        """The calls of which it matters how far they are."""
        return self._ids

    def look(
        self,
        seen: Mapping[str, Seen],
        now: int,  # noqa: ARG002 # as for Starts
        are_all_seen: bool = True,
    ) -> None:
        """Take back the slots of the calls that are over, or wait again.

        What is not ``seen`` is over if ``are_all_seen``, else as it was.
        """
        active = (State.READY, State.RUNNING)
        self._ids = {
            job_id: None
            for job_id in self._ids
            if (seen[job_id].state in active if job_id in seen else not are_all_seen)
        }

    def room(self, bound: Bound) -> int:
        """Return how many more calls may be admitted."""
        return max(bound.limit - len(self._ids), 0)

    def next_at(self, bound: Bound) -> int | None:  # noqa: ARG002
        """Return None, because it is unknown when a call will end and make room."""
        return None

    def take(self, job_id: str, bound: Bound) -> None:  # noqa: ARG002
        """Admit a call."""
        self._ids[job_id] = None

    def idle_at(self, now: int) -> int:
        """Return when it may be empty; a time in the past if it is empty now."""
        return now + _AGAIN if self._ids else 0

    def stored(self) -> bytes:
        """Return it as it is kept in a store."""
        return codec.encode(list(self._ids))


class Starts:
    """The calls that a rate has admitted, as far back as they matter.

    Until it has started, a call counts as about to start. So calls that waited long for a free
    worker do not all start at once, together with newly admitted ones.
    """

    def __init__(self, stored: bytes | None = None) -> None:
        self._longest: int = 0  # of the windows that it is looked at by
        self._waiting: dict[str, int] = {}  # with the moment at which each was last seen waiting
        self._starts: list[list[int]] = []  # moment and number, the oldest first
        self._started: dict[int, int] = {}  # how many within a window of that length
        self._now = 0
        self.is_outdated = False
        """Whether to store it soon, so that it is known which calls wait for a worker."""
        if stored:
            self._longest, self._waiting, self._starts = _read_starts(stored)

    @property
    def ids(self) -> Iterable[str]:
        """The calls of which it matters how far they are."""
        return self._waiting

    def look(self, seen: Mapping[str, Seen], now: int, are_all_seen: bool = True) -> None:
        """Take note of what has started, and forget what started long ago; as for Slots."""
        self._now = now
        self._started = {}
        waiting, starts = {}, dict[int, int]()
        for moment, number in self._starts:
            starts[moment] = starts.get(moment, 0) + number
        for job_id, moment in self._waiting.items():
            one = seen.get(job_id)
            if one is not None and one.state == State.READY:
                self.is_outdated |= moment < now - _OUTDATED
                waiting[job_id] = now
            elif one is None and not are_all_seen:
                waiting[job_id] = moment
            else:
                started_at = max(moment, (one and one.last_attempted_at) or 0)
                starts[started_at] = starts.get(started_at, 0) + 1
        self._waiting = waiting
        self._starts = _merged(starts, now - self._longest, self._longest // _EXACT)

    def room(self, bound: Bound) -> int:
        """Return how many more calls may be admitted."""
        return max(min(self._left(bound), _MOST_WAITING - len(self._waiting)), 0)

    def _left(self, bound: Bound) -> int:
        per = bound.per or 0
        started = self._started.get(per)
        if started is None:
            started = sum(number for moment, number in self._starts if moment > self._now - per)
            self._started[per] = started
        return bound.limit - len(self._waiting) - started

    def next_at(self, bound: Bound) -> int | None:
        """Return when there is room for one more; None before some that wait have started."""
        if len(self._waiting) >= min(bound.limit, _MOST_WAITING):
            return None
        left, per = self._left(bound), bound.per or 0
        for moment, number in self._starts:
            if moment > self._now - per:
                left += number
                if left > 0:
                    return moment + per
        return self._now

    def take(self, job_id: str, bound: Bound) -> None:
        """Let a call in."""
        self._longest = max(self._longest, bound.per or 0)
        self._waiting[job_id] = self._now

    def idle_at(self, now: int) -> int:
        """Return when nothing may be left of it; a moment that is past if nothing is."""
        if self._waiting:
            return now + _AGAIN
        return self._starts[-1][0] + self._longest if self._starts else 0

    def stored(self) -> bytes:
        """Return it as it is kept in a store."""
        return codec.encode((self._longest, self._waiting, self._starts))


def _merged(starts: Mapping[int, int], since: int, width: int) -> list[list[int]]:
    # Those after ``since``. Where they are many, those of a thousandth of the window count as the
    # last of them: less is admitted than might be, never more.
    kept = sorted([moment, number] for moment, number in starts.items() if moment > since)
    if len(kept) <= _EXACT:
        return kept
    merged: list[list[int]] = []
    for moment, number in kept:
        before = 0
        if merged and merged[-1][0] // width == moment // width:
            before = merged.pop()[1]
        merged.append([moment, before + number])
    return merged


_read_slots: Final = msgspec.json.Decoder(list[str]).decode
_read_starts: Final = msgspec.json.Decoder(
    tuple[int, dict[str, int], list[Annotated[list[int], msgspec.Meta(min_length=2, max_length=2)]]]
).decode

type Usage = Slots | Starts


class Look:
    """One look at the limits of some groups of calls that wait."""

    def __init__(self, groups: Iterable[str], usages: dict[str, Usage] | None = None) -> None:
        """``usages`` are those of a store that keeps them itself."""
        self._bounds = {g: bounds for g in groups if (bounds := _bounds_of(g)) is not None}
        self.names = sorted({bound.name for bounds in self._bounds.values() for bound in bounds})
        """The limits, each once and in one order."""
        self.damaged: list[str] = []
        """The limits whose stored state could not be read; they are reset."""
        self._stored: Mapping[str, bytes] = {}
        self._usages = {name: usage_of(name) for name in self.names} if usages is None else usages

    def read(self, stored: Mapping[str, bytes]) -> Self:
        """Take in what is stored of the limits, by name; nothing of those that are new."""
        self._stored = stored
        self._usages = {}
        for name in self.names:
            try:
                self._usages[name] = usage_of(name, stored.get(name))
            except ValueError:
                self._usages[name] = usage_of(name)
                self.damaged.append(name)
        return self

    @property
    def missing(self) -> list[str]:
        """The limits of which nothing is stored."""
        return [name for name in self.names if name not in self._stored]

    @property
    def ids(self) -> list[str]:
        """The calls that were admitted, of which it has to be seen how far they are."""
        return list(dict.fromkeys(i for name in self.names for i in self._usages[name].ids))

    def see(self, seen: Mapping[str, Seen], now: int, are_all_seen: bool = True) -> None:
        """Take in how far they are; those that are not there are over, if all are seen."""
        for name in self.names:
            self._usages[name].look(seen, now, are_all_seen)

    def changes(self, now: int) -> list[tuple[str, bytes, int]]:
        """Return what is to be stored: name, usage, and from when it may be of no use."""
        return [
            (name, used, self._usages[name].idle_at(now))
            for name in self.names
            if (used := self._usages[name].stored()) != self._stored.get(name)
        ]

    def room(self, group: str) -> int:
        """Return how many calls of a group all its limits have room for."""
        rooms = (self._usages[bound.name].room(bound) for bound in self._bounds[group])
        return min(rooms, default=MOST_RUNNING)

    def rooms(self) -> dict[str, int]:
        """Return the groups that there is room for, and for how many calls each."""
        return {group: room for group in self._bounds if (room := self.room(group))}

    def outdated(self) -> list[str]:
        """Return the groups of rates that have to be stored, though there may be no room."""
        return [
            group
            for group, bounds in self._bounds.items()
            if any(self._usages[bound.name].is_outdated for bound in bounds)
        ]

    def next_at(self) -> int | None:
        """Return when a rate will have room for a group that waits for nothing else."""
        return min(self.opens().values(), default=None)

    def opens(self) -> dict[str, int]:
        """Return when a rate will have room, for each group that waits only for that."""
        moments = {group: self._opens_at(group) for group in self._bounds if not self.room(group)}
        return {group: moment for group, moment in moments.items() if moment is not None}

    def _opens_at(self, group: str) -> int | None:
        latest = 0
        for bound in self._bounds[group]:
            usage = self._usages[bound.name]
            if not usage.room(bound):
                moment = usage.next_at(bound)
                if moment is None:
                    return None
                latest = max(latest, moment)
        return latest

    def choose(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Admit the candidates that there is room for, one after the other; return them."""
        chosen = []
        for one in candidates:
            if self.room(one.group):
                chosen.append(one)
                for bound in self._bounds[one.group]:
                    self._usages[bound.name].take(one.id, bound)
        return chosen


def _bounds_of(group: str) -> tuple[Bound, ...] | None:
    # A damaged group waits for nothing: the worker that claims its calls reports the damage. A
    # group written by a newer version waits for that version.
    try:
        return bounds_of(group)
    except NewerFormat:
        return None
    except Unreadable:
        return ()


def usage_of(name: str, stored: bytes | None = None) -> Usage:
    """Return the usage of the limit of this name, from its stored state.

    Raises ``ValueError`` if the stored state is damaged.
    """
    return Slots(stored) if name.startswith("c:") else Starts(stored)
