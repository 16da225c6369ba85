"""Leases: ended is what was not renewed for as long as it lasts, whatever clocks say."""

from mainspring.core.clock import SECOND
from mainspring.core.leases import Lease, Leases

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
