"""Stretches: what is skipped holds nothing, and what comes into it late is found in time."""

import random
from collections.abc import Callable

import pytest

from mainspring.backends.database.stretches import (
    CHECK_AFTER,
    CHECK_AT_LEAST_EVERY,
    CHECK_FACTOR,
    EVERYTHING,
    HIGHEST,
    LOWEST,
    Found,
    Span,
    Stretches,
)

SLACK = 10


class Index:
    """Ready jobs as a set of (priority, moment), and one process that claims them."""

    def __init__(self, newest_first: bool) -> None:
        self.ready: set[Found] = set()
        self.stretches = Stretches()
        self.newest_first = newest_first
        self.moment = 0  # of those who enqueue
        self.clock = 0.0

    def order(self, one: Found) -> Found:
        return (-one[0], -one[1] if self.newest_first else one[1])

    def claim(self, limit: int) -> list[Found]:
        spans = self.stretches.spans(self.newest_first, self.clock)
        found: list[Found] = []
        for span in spans:
            first, last = (span.bottom, span.first), (span.top, span.last)
            inside = [one for one in self.ready if first <= one <= last]
            found += sorted(inside, key=self.order)
        found = found[:limit]
        self.ready.difference_update(found)
        are_all, until = len(found) < limit, self.moment - SLACK
        self.stretches.passed(spans, found, self.newest_first, are_all, until, self.clock)
        return found


@pytest.fixture(params=[True, False], ids=["newest-first", "oldest-first"])
def index(request: pytest.FixtureRequest) -> Index:
    return Index(request.param)


def test_at_first_nothing_is_skipped() -> None:
    assert Stretches().spans(newest_first=True, now=0) == [EVERYTHING]


def test_what_a_claim_has_passed_is_skipped(index: Index) -> None:
    index.ready = {(0, moment) for moment in range(100)}
    index.moment = 1000
    taken = index.claim(10)
    assert taken == sorted(taken, key=index.order)
    spans = [span for span in index.stretches.spans(index.newest_first, 0) if span.is_level]
    if index.newest_first:
        assert spans == [Span(0, HIGHEST, 0, 991), Span(0, 90, 0, LOWEST)]
    else:
        assert spans == [Span(0, HIGHEST, 0, 9)]


def test_jobs_of_the_moment_of_the_last_one_are_not_skipped(index: Index) -> None:
    index.moment = 1000
    index.ready = {(0, 5)}
    index.claim(1)
    index.ready = {(0, 5)}
    assert index.claim(1) == [(0, 5)]


def test_a_new_priority_is_found_above_and_below(index: Index) -> None:
    index.ready, index.moment = {(0, 5)}, 1000
    index.claim(10)
    index.ready = {(1, 5), (-1, 5), (-100, 7), (100, 3)}
    assert index.claim(10) == [(100, 3), (1, 5), (-1, 5), (-100, 7)]


def test_what_comes_within_the_slack_is_found_at_once(index: Index) -> None:
    index.ready, index.moment = {(0, 500)}, 1000
    index.claim(10)
    index.ready = {(0, 1000 - SLACK + 1)}
    assert index.claim(10)


@pytest.mark.parametrize("age", [0.0, 0.5, 1.5, 5, 30, 200, 1000])
def test_what_comes_late_is_found_when_the_stretch_is_looked_through_again(
    index: Index, age: float
) -> None:
    index.ready, index.moment = {(0, 900)}, 1000
    index.claim(10)
    while index.clock < age:
        index.clock += 1.0
        index.claim(10)
    index.ready = {(0, 7)}
    came = index.clock
    while not index.claim(10):
        index.clock += 0.5
    limit = min(max(age * CHECK_FACTOR, CHECK_AFTER), CHECK_AT_LEAST_EVERY) + 1
    assert index.clock - came <= limit


def test_where_one_was_late_others_are_looked_for_at_once(index: Index) -> None:
    index.moment = 10
    for _ in range(20):  # a stretch of its own for each second
        index.ready = {(0, index.moment)}
        index.moment += 1000
        index.clock += 1
        index.claim(10)
    late = {(0, moment + 3) for moment in range(10, 20_000, 1000)}
    index.ready = set(late)
    found: list[Found] = []
    for _ in range(100):
        index.clock += 0.02
        found += index.claim(5)
    assert set(found) == late


def test_what_is_made_ready_again_is_found_at_once(index: Index) -> None:
    index.ready, index.moment = {(0, 100), (3, 200)}, 1000
    index.claim(10)
    index.ready = {(0, 50)}
    index.stretches.reopen(0, 40, 60)
    assert index.claim(10) == [(0, 50)]
    index.ready = {(3, 7)}
    index.stretches.reopen(None, 7, 7)
    assert index.claim(10) == [(3, 7)]


def run(index: Index, seed: int, steps: int, act: Callable[[random.Random], None]) -> None:
    chance = random.Random(seed)
    for _ in range(steps):
        index.clock += chance.choice([0.001, 0.01, 0.1])
        index.moment += chance.randrange(100)
        act(chance)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_comes_in_time_is_ever_missed(index: Index, seed: int) -> None:
    levels = [0, 0, 0, 5, -5, 100]

    def act(chance: random.Random) -> None:
        for _ in range(chance.choice([0, 1, 5, 30])):
            late = chance.randrange(SLACK)
            index.ready.add((chance.choice(levels), index.moment - late))
        limit = chance.choice([1, 3, 10, 50])
        first = sorted(index.ready, key=index.order)[:limit]
        assert index.claim(limit) == first

    run(index, seed, 400, act)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_whenever_is_found_within_its_time(index: Index, seed: int) -> None:
    came: dict[Found, float] = {}

    def act(chance: random.Random) -> None:
        for _ in range(chance.choice([0, 1, 3])):
            back = chance.choice([0, 0, 0, 1, 10, 1000, 20_000])
            job = chance.choice([0, 0, 7]), index.moment - chance.randrange(back + 1)
            index.ready.add(job)
            came[job] = index.clock
        for one in index.claim(chance.choice([5, 20])):
            del came[one]
        # No stretch is older than the whole run.
        oldest = min(came.values(), default=index.clock)
        assert index.clock - oldest <= max(CHECK_FACTOR * index.clock, CHECK_AFTER) + 1

    run(index, seed, 600, act)
    index.moment += 10 * SLACK
    while came:
        index.clock += 0.5
        for one in index.claim(100):
            del came[one]
        assert index.clock < 600


def test_the_stretches_do_not_become_very_many(index: Index) -> None:
    chance = random.Random(1)
    for _ in range(600):
        index.clock += 0.5
        index.moment += 1000
        index.ready |= {(0, index.moment - chance.randrange(500)) for _ in range(3)}
        index.claim(chance.choice([1, 2, 5]))
    assert len(index.stretches.spans(index.newest_first, index.clock)) < 300
