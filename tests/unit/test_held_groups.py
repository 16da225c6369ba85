"""Which of very many limit groups are looked at, and how often."""

from itertools import pairwise
from typing import Any, cast

from mainspring.backends.database.held_groups import MOST, HeldGroups
from mainspring.core.clock import SECOND

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
        return set([group for group in self.groups if group > after][:most])


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
