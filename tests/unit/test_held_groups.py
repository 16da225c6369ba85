"""Which of very many limit groups are looked at, and how often."""

from itertools import pairwise
from typing import Any, cast

from mainspring.backends.database.held_groups import MOST, HeldGroups
from mainspring.core.clock import SECOND
from mainspring.core.limits import Bound, group_of

_BEGAN = 1_800_000_000 * SECOND


class _Waiting:
    """Stands for dialect and cursor: all groups have jobs that wait, none of which is new."""

    backend = "default"

    def __init__(self, number: int) -> None:
        self.groups = [f"{i:06}" for i in range(number)]

    def sql(self, name: str) -> str:
        return name

    def execute(self, sql: str, params: object) -> None:
        assert sql == "newest_held"

    def fetchall(self) -> list[tuple[str]]:
        return []

    def held_groups(self, cursor: object, after: str, most: int) -> set[str]:
        return set(sorted(group for group in self.groups if group > after)[:most])


def _looks(groups: HeldGroups, waiting: _Waiting, first: int, seconds: int) -> list[int]:
    """Look every second; return at which seconds there was something to look at."""
    store: Any = cast("Any", waiting)
    moments = range(first, first + seconds)
    return [at for at in moments if groups.choose(store, store, _BEGAN + at * SECOND)]


def _rested(groups: HeldGroups, waiting: _Waiting) -> HeldGroups:
    """Look until there is a rest, as a worker does at its start."""
    store: Any = cast("Any", waiting)
    assert len(groups.choose(store, store, _BEGAN)) == MOST
    while groups.next_at({}) is not None:
        groups.choose(store, store, _BEGAN)
    return groups


def test_many_groups_are_looked_at_more_rarely_while_nobody_is_admitted() -> None:
    waiting = _Waiting(3 * MOST - 1)
    groups = _rested(HeldGroups(), waiting)
    looks = _looks(groups, waiting, 1, 120)
    pauses = [b - a for a, b in pairwise(looks)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 8


def test_they_are_looked_at_each_second_again_once_somebody_was_admitted() -> None:
    waiting = _Waiting(3 * MOST - 1)
    groups = _rested(HeldGroups(), waiting)
    _looks(groups, waiting, 1, 120)
    groups.go_on()
    rest = _looks(groups, waiting, 121, 6)
    assert len(rest) >= 5


def test_a_hurry_brings_a_look_at_all() -> None:
    waiting = _Waiting(3 * MOST - 1)
    groups = _rested(HeldGroups(), waiting)
    _looks(groups, waiting, 1, 120)
    groups.hurry()
    store: Any = cast("Any", waiting)
    seen: set[str] = set()
    while groups.next_at({}) is not None:
        seen |= groups.choose(store, store, _BEGAN + 121 * SECOND)
    assert seen == set(waiting.groups)


def _sharing(number: int) -> list[str]:
    """Return groups that share a limit; each has another one besides."""
    shared = Bound("c:shared", 1)
    return sorted(group_of([shared, Bound(f"c:own{i:06}", 1)]) for i in range(number))


def _look_at_all(groups: HeldGroups, waiting: _Waiting) -> None:
    store: Any = cast("Any", waiting)
    groups.hurry()
    groups.choose(store, store, _BEGAN)
    while groups.next_at({}) is not None:
        groups.choose(store, store, _BEGAN)


def test_groups_without_waiting_jobs_are_forgotten_after_a_round() -> None:
    waiting = _Waiting(0)
    every = waiting.groups = _sharing(3 * MOST)
    groups = HeldGroups()
    groups.add(every)
    _look_at_all(groups, waiting)
    assert groups.sharing(every[:1]) == set(every)

    waiting.groups = every[1::2]
    _look_at_all(groups, waiting)
    assert groups.sharing(every[:1]) == set(every[1::2])

    waiting.groups = []
    _look_at_all(groups, waiting)
    assert groups.sharing(every[:1]) == set()


def test_groups_that_are_added_during_a_round_stay_known() -> None:
    """Even those that this round has passed already, or that were known before."""
    waiting = _Waiting(0)
    every = _sharing(4 * MOST)
    waiting.groups = every[1:]
    store: Any = cast("Any", waiting)
    groups = HeldGroups()
    groups.add(every[1:])
    groups.choose(store, store, _BEGAN)
    gone = every[2 * MOST]
    waiting.groups.remove(gone)
    groups.add([every[0], gone])
    while groups.next_at({}) is not None:
        groups.choose(store, store, _BEGAN)
    assert groups.sharing([gone]) == set(every)
