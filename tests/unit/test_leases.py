"""Leases: ended is what was not renewed for as long as it lasts, whatever clocks say."""

import pytest

from mainspring.core.clock import SECOND
from mainspring.core.leases import Lease, Leases, Sightings

HOUR = 3600


def lease(heard_at: float, seconds: float = 30, worker: str = "w") -> Lease:
    return Lease(worker, int(heard_at * SECOND), int((heard_at + seconds) * SECOND))


def test_a_lease_ends_that_is_not_renewed_for_as_long_as_it_lasts() -> None:
    leases = Leases(longest_pause=50)
    assert leases.ended([lease(0)], 100) == []
    assert leases.ended([lease(0)], 129) == []
    assert leases.ended([lease(0)], 130) == [lease(0)]


def test_a_renewed_lease_begins_anew() -> None:
    leases = Leases(longest_pause=50)
    assert leases.ended([lease(0)], 100) == []
    assert leases.ended([lease(29)], 130) == []
    assert leases.ended([lease(29)], 159) == []
    assert leases.ended([lease(29)], 160) == [lease(29)]


def test_a_clock_that_is_stepped_or_wrong_ends_none_and_saves_none() -> None:
    leases = Leases(longest_pause=50)
    for at, ahead in enumerate([0, HOUR, HOUR, 0, -HOUR, 0]):
        assert leases.ended([lease(at * 20 + ahead)], at * 20) == []
    dead = lease(100 + HOUR, worker="ahead")
    assert leases.ended([dead], 120) == []
    assert leases.ended([dead], 150) == [dead]


def test_each_lasts_as_long_as_it_says() -> None:
    leases = Leases(longest_pause=50)
    both = [lease(0, 10, "short"), lease(0, 60, "long")]
    assert leases.ended(both, 0) == []
    assert leases.ended(both, 10) == both[:1]
    assert leases.ended(both, 50) == both[:1]
    assert leases.ended(both, 60) == both


def test_what_is_forgotten_is_watched_anew() -> None:
    leases = Leases(longest_pause=50)
    leases.ended([lease(0)], 0)
    leases.forget()
    assert leases.ended([lease(0)], 30) == []
    assert leases.ended([lease(0)], 60) == [lease(0)]


def test_who_looks_late_may_have_stood_still_together_with_all_others() -> None:
    leases = Leases(longest_pause=50)
    leases.ended([lease(0)], 0)
    assert leases.ended([lease(0)], 51) == []
    assert leases.ended([lease(0)], 80) == []
    assert leases.ended([lease(0)], 81) == [lease(0)]


def test_what_is_off_the_register_is_not_kept() -> None:
    leases = Leases(longest_pause=50)
    leases.ended([lease(0)], 0)
    assert leases.ended([], 10) == []
    assert leases.ended([lease(0)], 30) == []


def seen(since: float, looked_at: float, renewed_at: float | None = None) -> Sightings:
    """What another process has seen of the lease that began at 0."""
    return Sightings({lease(0): since}, looked_at, looked_at if renewed_at is None else renewed_at)


def test_what_others_have_seen_counts() -> None:
    assert Leases(50).ended([lease(0)], 29, seen(0, 25), 29) == []
    assert Leases(50).ended([lease(0)], 30, seen(0, 25), 29) == [lease(0)]


def test_what_others_have_seen_is_known_to_those_after_this_one() -> None:
    leases = Leases(50)
    leases.ended([lease(0), lease(5)], 29, seen(0, 25), 29)
    assert leases.since == {lease(0): 0, lease(5): 29}


def test_a_lease_that_was_renewed_since_others_looked_begins_anew() -> None:
    assert Leases(50).ended([lease(9)], 40, seen(0, 39), 39) == []


def test_while_nobody_looked_a_third_of_a_lease_has_passed_at_most() -> None:
    """Somebody may have kept all from renewing theirs, who has just gone."""
    at, looks, since = 0.0, 0, Sightings({}, 0.0, 0.0)
    while True:
        leases = Leases(20)
        looks += 1
        if leases.ended([lease(0)], at, since, at):
            break
        since = Sightings(dict(leases.since), at, at)
        at += 1000
    assert looks == 4


def test_while_nobody_could_renew_a_lease_no_more_has_passed() -> None:
    """Another process looked all the time, without being able to write."""
    looks = Leases(20)
    assert looks.ended([lease(0)], 25, seen(-9, 24, renewed_at=-4), 25) == []
    assert looks.ended([lease(0)], 38, None, 38) == []
    assert looks.ended([lease(0)], 40, None, 40) == [lease(0)]


def test_who_has_stood_still_takes_over_nothing_that_is_as_old() -> None:
    leases = Leases(50)
    leases.ended([lease(0)], 0)
    assert leases.ended([lease(0)], 60, seen(0, 5), 60) == []
    assert leases.ended([lease(0)], 89, seen(0, 5), 60) == []
    assert leases.ended([lease(0)], 90, seen(0, 5), 60) == [lease(0)]


def test_what_was_seen_by_another_stopwatch_does_not_count() -> None:
    assert Leases(50).ended([lease(0)], 100, seen(0, 900), 100) == []


@pytest.mark.parametrize("ends_at", [-(2**62), 0, 2**62])
def test_a_damaged_lease_lasts_as_long_as_ones_own(ends_at: int) -> None:
    """Its worker may live, and will then write another one."""
    watched, one = Leases(longest_pause=20.0), Lease("a-worker", 10, ends_at)
    assert watched.ended([one], 100.0) == []
    assert watched.ended([one], 115.0) == []
    assert watched.ended([one], 129.0) == []
    assert watched.ended([one], 131.0) == [one]
