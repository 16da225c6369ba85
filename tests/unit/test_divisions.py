"""Stores how rows of maps are divided: what is locked or refused keeps no other one waiting."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from mainspring.core import outcomes
from mainspring.core.chunks import Division
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.exceptions import StoreLocked, StoreRefused, StoreUnavailable
from mainspring.runtime.divisions import Divisions
from mainspring.runtime.telling import Telling
from tests.contract.jobs import ids, job

WORKER = Worker("worker-1", 1)


class Store:
    """Divides rows, but for those that are locked, refused with their values, or fail."""

    def __init__(self) -> None:
        self.locked: set[str] = set()
        self.refused: set[str] = set()
        self.refused_for_good: set[str] = set()
        self.refusals = 0
        self.broken: set[str] = set()

    def find_locked(self, found: Sequence[str]) -> set[str]:
        return self.locked.intersection(found)

    def divide(self, worker: Worker, row: Job, division: Division) -> bool:
        if row.id in self.locked:
            raise StoreLocked("locked")
        if row.id in self.broken:
            raise StoreUnavailable("unknown")
        if row.id in self.refused and division.outcomes[0].return_value:
            raise StoreRefused("too large")
        if row.id in self.refused_for_good:
            self.refusals += 1
            assert self.refusals < 10, "it is tried again and again"
            raise StoreRefused("has no such column")
        return True


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainspring.runtime.divisions._LOOK_EVERY", 0)


def divided(row: Job) -> Division:
    outcome = outcomes.succeeded(row, WORKER.id, 1, 2, b"[1,2]")
    return Division(row.arguments, [], [outcome])


def set_aside(store: Any, *rows: Job) -> tuple[Divisions, list[Outcome]]:
    """Return divisions that wait for others' locks, and what is settled of them since."""
    settled: list[Outcome] = []
    made = Divisions(store, WORKER, Telling(WORKER.id), lambda found, _lost: settled.extend(found))
    store.locked.update(ids(rows))
    for row in rows:
        made.store(row, divided(row))
    assert settled == []
    store.locked.clear()
    return made, settled


def test_what_is_refused_once_it_is_locked_no_more_fails(caplog: pytest.LogCaptureFixture) -> None:
    store, row = Store(), job()
    made, settled = set_aside(store, row)
    store.refused.add(row.id)
    for _ in range(3):
        made.tend()
    (outcome,) = settled
    assert (outcome.id, outcome.state) == (row.id, State.FAILED)
    assert caplog.text.count("was refused") == 1


def test_what_cannot_be_stored_keeps_no_other_one_waiting() -> None:
    store, bad, good = Store(), job(), job()
    made, settled = set_aside(store, bad, good)
    store.broken.add(bad.id)
    with pytest.raises(StoreUnavailable):
        made.tend()
    assert ids(settled) == [good.id]
    store.broken.clear()
    made.tend()
    assert ids(settled) == [good.id, bad.id]


def test_what_is_refused_without_its_values_too_is_retried_rarely(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bad, good = Store(), job(), job()
    made, settled = set_aside(store)
    store.refused_for_good.add(bad.id)
    made.store(bad, divided(bad))
    made.store(good, divided(good))
    for _ in range(20):
        made.tend()
    assert store.refusals == 2
    assert ids(settled) == [good.id]
    monkeypatch.setattr("mainspring.runtime.divisions._REFUSED_PAUSE", 0)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 61)
    made.tend()
    assert store.refusals == 3
    assert caplog.text.count("cannot be stored") == 1
    store.refused_for_good.clear()
    made.tend()
    assert [(one.id, one.state) for one in settled[1:]] == [(bad.id, State.FAILED)]


def test_what_is_refused_for_good_once_it_is_locked_no_more_is_retried_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, row = Store(), job()
    made, settled = set_aside(store, row)
    store.refused_for_good.add(row.id)
    for _ in range(20):
        made.tend()
    assert store.refusals == 2
    assert settled == []
    assert caplog.text.count("cannot be stored, while others can") == 1
