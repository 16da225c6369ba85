"""One thing among many that fails stops none of the others, and is told of once."""

import logging
from typing import Any, NamedTuple

import pytest

from mainspring.core.jobs import Job
from mainspring.exceptions import NewerFormat, StoreUnavailable, Unreadable
from mainspring.maintenance.apart import Apart
from mainspring.maintenance.finisher import Finisher
from mainspring.runtime.maps import Maps
from tests.contract.jobs import job


class Seen(NamedTuple):
    ended: list[str]
    last: str


class Store:
    """Has three maps at their end, of which one cannot be read."""

    def __init__(self) -> None:
        self.finished: list[str] = []

    def look_at_maps(self, after: str, most: int) -> Seen:
        return Seen(["one", "damaged", "two"], "")

    def finish_map(self, map_id: str, now: int) -> bool:
        if map_id == "damaged":
            raise Unreadable("no JSON")
        self.finished.append(map_id)
        return True


def row_of(map_id: str) -> Job:
    return job(options=b'{"_map":["%b","items"]}' % map_id.encode())


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]


def test_a_damaged_map_keeps_no_other_one_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    store: Any = Store()
    finisher = Finisher(store)
    for _ in range(2):
        finisher.step(1)
    assert sorted(store.finished) == ["one", "one", "two", "two"]
    assert told(caplog) == ["Map damaged cannot be handled by this worker; others are not affected"]


def test_nor_where_a_worker_has_settled_the_last_rows(caplog: pytest.LogCaptureFixture) -> None:
    store: Any = Store()
    maps = Maps()
    rows = [row_of(name) for name in ("one", "damaged", "two")]
    maps.claimed(rows)
    maps.given_back(rows)
    maps.finish_ended(store)
    assert sorted(store.finished) == ["one", "two"]
    assert not maps.has_ended
    assert len(told(caplog)) == 1


def test_rows_that_cannot_be_read_are_counted_with_none(caplog: pytest.LogCaptureFixture) -> None:
    maps = Maps()
    with pytest.raises(NewerFormat):
        maps.claimed([row_of("one"), job(options=b'{"_format":2}')])
    assert not maps.has_ended
    maps.claimed([row_of("one")])


def test_a_store_that_is_away_is_no_fault_of_one() -> None:
    def fail() -> None:
        raise StoreUnavailable("down")

    with pytest.raises(StoreUnavailable):
        Apart("Map").do("one", fail)


def test_what_works_again_may_fail_again_and_is_told_of_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    apart, works = Apart("Map"), [False, False, True, False]

    def step() -> None:
        if not works.pop(0):
            raise ValueError("no")

    assert [apart.do("one", step) for _ in range(4)] == [False, False, True, False]
    assert len(told(caplog)) == 2
