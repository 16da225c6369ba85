"""When claims on PostgreSQL begin to skip dead entries: only if these cannot be removed."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from mainspring.backends.database.skipping import Skipping
from mainspring.backends.database.vendors.postgresql.vacuum import Vacuum

NOBODY: Any = cast("Any", None)  # instead of a cursor


@pytest.mark.parametrize(
    ("dead", "walks", "is_on"),
    [
        # Microseconds, as measured in a drain: entries that can be removed, which a walk marks.
        (84_000, [2_445, 304], False),
        (111_000, [2_447, 542], False),
        (111_000, [3_694, 4_909, 860], False),  # another process has slowed two of them down
        (183_000, [2_680, 6_187, 585], False),
        (400_000, [2_900, 2_800, 2_900], False),  # many, but passed quickly
        # While a transaction stays open.
        (78_000, [8_701, 6_848, 10_104], True),
        (324_000, [65_747, 25_277, 16_639], True),
        (30_000, [900], False),  # few
    ],
)
def test_claims_skip_what_cannot_be_removed(
    dead: int, walks: Sequence[int], is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter(walks)
    monkeypatch.setattr(Vacuum, "_walk", lambda *_: {-1: 3, 0: next(found), 1: 4})
    skipping = Skipping()
    Vacuum("default", skipping)._decide(NOBODY, dead, is_suspected=True)
    assert skipping.is_on == is_on


def test_of_two_priorities_each_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vacuum, "_walk", lambda *_: {0: 4_000, 1: 4_000})
    skipping = Skipping()
    Vacuum("default", skipping)._decide(NOBODY, 200_000, is_suspected=True)
    assert skipping.is_on
