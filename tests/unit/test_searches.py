"""How much of the index of ready jobs MariaDB's claims search beside an old transaction."""

from types import SimpleNamespace

import pytest

from mainspring.backends.database.skipping import Source
from mainspring.backends.database.vendors.mysql import searches as module
from mainspring.backends.database.vendors.mysql.searches import Search, Searches

ANY = Source(None, ("*",))
MAIL = Source("mail")
PAUSE = 5.0  # seconds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stands = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=stands.monotonic))
    return stands


@pytest.fixture
def searches(clock: Clock) -> Searches:
    """Searches that are spaced out, after one of the whole index up to the moment 1000."""
    spaced = Searches()
    spaced.space_out(PAUSE)
    spaced.searched(spaced.begin_whole(ANY, 1000), [])
    return spaced


def begun(searches: Searches, source: Source = ANY) -> Search:
    search = searches.begin(source)
    assert search is not None
    return search


def test_all_is_searched_until_searches_are_spaced_out(clock: Clock) -> None:
    searches = Searches()
    assert searches.begin(ANY) is None
    searches.searched(searches.begin_whole(ANY, 1000), [])
    assert searches.begin(ANY) is None


def test_each_source_is_searched_whole_first(searches: Searches) -> None:
    assert begun(searches).since == 1000
    assert searches.begin(MAIL) is None


def test_late_jobs_are_searched_for_after_a_pause(searches: Searches, clock: Clock) -> None:
    clock.now += PAUSE - 0.1
    assert not begun(searches).is_due
    clock.now += 0.1
    assert begun(searches).is_due


def test_the_pause_is_half_a_minute_at_most(searches: Searches, clock: Clock) -> None:
    searches.space_out(1e6)
    searches.searched(searches.begin_whole(ANY, 1000), [])
    clock.now += 30
    assert begun(searches).is_due


def test_the_next_search_starts_with_what_was_left(searches: Searches) -> None:
    searches.searched(searches.begin_whole(ANY, 2000), [1500, 1200])
    assert begun(searches).since == 1200


def test_a_search_moves_the_start_of_the_next_one_forwards_only(searches: Searches) -> None:
    searches.reached(begun(searches), 3000)
    assert begun(searches).since == 3000
    searches.reached(begun(searches), 2000)
    assert begun(searches).since == 3000


def test_a_job_that_is_ready_again_is_searched_for(searches: Searches) -> None:
    searches.reopen(400)
    assert begun(searches).since == 400


def test_a_later_one_is_searched_for_anyway(searches: Searches) -> None:
    searches.reopen(4000)
    assert begun(searches).since == 1000


def test_a_search_that_was_under_way_does_not_pass_it(searches: Searches) -> None:
    fresh, whole = begun(searches), searches.begin_whole(ANY, 2000)
    searches.reopen(400)
    searches.reached(fresh, 3000)
    searches.searched(whole, [])
    assert begun(searches).since == 400


def test_it_is_searched_for_again_after_the_commit(searches: Searches) -> None:
    searches.reopen(400)
    searches.reached(begun(searches), 3000)
    searches.reopen_pending()
    assert begun(searches).since == 400
    searches.reached(begun(searches), 3000)
    searches.reopen_pending()  # only once
    assert begun(searches).since == 3000


def test_nothing_is_left_of_what_was_forgotten(searches: Searches) -> None:
    under_way = begun(searches)
    searches.forget()
    assert searches.begin(ANY) is None
    searches.space_out(PAUSE)
    searches.reached(under_way, 3000)
    assert searches.begin(ANY) is None
