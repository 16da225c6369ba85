"""The settler: what cannot be stored keeps no other outcome waiting, and nothing is lost."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import pytest

from mainspring.core import outcomes
from mainspring.core.errors import errors_in
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.exceptions import OutcomeRefused, StoreLocked, StoreRefused, StoreUnavailable
from mainspring.runtime import settler as module
from mainspring.runtime.settler import Settler
from mainspring.runtime.telling import Telling
from tests.contract.jobs import job

WORKER = Worker("worker-1", 1)
REASON = "The store takes no statement as large as this"


class Store:
    """Stores outcomes, but for some that it refuses, fails for, or finds locked."""

    def __init__(self) -> None:
        self.stored: list[Outcome] = []
        self.calls = 0
        self.is_down = False
        self.refused: set[str] = set()
        self.refuses_history = False
        self.broken: set[str] = set()
        self.locked: set[str] = set()

    def settle_and_claim(
        self,
        worker: Worker,
        settled: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        freed: Collection[str] = (),
    ) -> tuple[list[str], list[Job]]:
        return self.settle(worker, settled), []

    def settle(self, worker: Worker, settled: Sequence[Outcome]) -> list[str]:
        self.calls += 1
        if self.is_down:
            raise StoreUnavailable("down")
        found = {one.id for one in settled}
        if found & self.locked:
            raise StoreLocked("locked")
        if found & self.broken:
            raise StoreUnavailable("unknown")
        for one in settled:
            is_substitute = b"OutcomeRefused" in (one.errors or b"")
            is_long = b"ValueError" in (one.errors or b"") and self.refuses_history
            if one.id in self.refused and (is_long or not is_substitute):
                raise StoreRefused(REASON)
        self.stored += settled
        return []

    def find_locked(self, ids: Sequence[str]) -> set[str]:
        if self.is_down:
            raise StoreUnavailable("down")
        return self.locked.intersection(ids)

    def leases(self) -> list[Any]:
        if self.is_down:
            raise StoreUnavailable("down")
        return []


class Stopwatch:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    one = Stopwatch()
    monkeypatch.setattr(module, "time", one)
    return one


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def settler(store: Store, watch: Stopwatch) -> Settler:
    storage: Any = store
    return Settler(storage, WORKER, Telling(WORKER.id))


def ended(number: int) -> list[Outcome]:
    jobs = [job(i)._replace(claim=WORKER.first_claim + 1) for i in range(number)]
    return [outcomes.succeeded(one, WORKER.id, 1, 2, b"1") for one in jobs]


def settle(settler: Settler, found: Sequence[Outcome] = ()) -> list[Outcome]:
    return list(settler.exchange(list(found), ["*"], 1, ()).outcomes)


def by_id(found: Sequence[Outcome]) -> dict[str, Outcome]:
    assert len({one.id for one in found}) == len(found)
    return {one.id: one for one in found}


@pytest.mark.parametrize("number", [1, 2, 7, 500])
def test_what_the_store_refuses_fails_with_its_reason_and_the_others_are_stored(
    store: Store, settler: Settler, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = ended(number)
    store.refused = {found[number // 2].id}
    assert by_id(settle(settler, found)).keys() == by_id(found).keys()
    stored = by_id(store.stored)
    for one in found:
        if one.id not in store.refused:
            assert stored[one.id] == one
    refused = stored[found[number // 2].id]
    assert refused.state == State.FAILED
    assert refused.return_value is None
    (error,) = errors_in(refused.errors or b"")
    assert error.exception_class is OutcomeRefused
    assert REASON in error.traceback
    assert store.calls < 30
    (record,) = caplog.records
    assert (record.levelno, REASON in record.message) == (logging.ERROR, True)


def test_the_history_goes_where_it_is_what_is_refused(store: Store, settler: Settler) -> None:
    (one,) = ended(1)
    one = one._replace(errors=b'[["builtins.ValueError","ValueError: 1"]]')
    store.refused, store.refuses_history = {one.id}, True
    settle(settler, [one])
    (error,) = errors_in(store.stored[0].errors or b"")
    assert error.exception_class is OutcomeRefused


def test_several_are_refused(store: Store, settler: Settler) -> None:
    found = ended(40)
    store.refused = {one.id for one in found[::3]}
    settle(settler, found)
    failed = {one.id for one in store.stored if one.state == State.FAILED}
    assert failed == store.refused
    assert len(store.stored) == 40


def test_what_fails_for_no_known_reason_is_set_aside_and_tried_less_and_less_often(
    store: Store, settler: Settler, watch: Stopwatch
) -> None:
    found = ended(20)
    store.broken = {found[5].id}
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            settle(settler, found)
        assert settler.left == found
    assert len(settle(settler, found)) == 19
    assert len(store.stored) == 19
    pauses = []
    for _ in range(6):
        began, calls = watch.now, store.calls
        while not settler.is_due:
            assert store.calls == calls
            watch.now += 0.25
        pauses.append(watch.now - began)
        assert settle(settler) == []
    assert pauses == [1, 2, 4, 8, 16, 30]
    store.broken.clear()
    watch.now += 30
    assert settle(settler) == [found[5]]
    assert store.stored[-1] == found[5]
    assert not settler.is_due


def test_an_outage_sets_nothing_aside(store: Store, settler: Settler) -> None:
    found, store.is_down = ended(20), True
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            settle(settler, found)
        assert by_id(settler.left) == by_id(found)
    store.is_down = False
    assert by_id(settle(settler, settler.left)) == by_id(found)
    assert by_id(store.stored) == by_id(found)


def test_a_store_that_can_be_read_and_not_written_loses_nothing(
    store: Store, settler: Settler, watch: Stopwatch
) -> None:
    found = ended(20)
    store.broken = {one.id for one in found}
    left, done = found, list[Outcome]()
    for _ in range(20):
        with suppress(StoreUnavailable):
            done += settle(settler, left)
        left = settler.left
        watch.now += 1
    assert done == []
    store.broken.clear()
    for _ in range(3):
        watch.now += 30
        done += settle(settler, left)
        left = []
    assert by_id(done) == by_id(found)
    assert by_id(store.stored) == by_id(found)


def test_what_is_locked_waits_and_the_others_do_not(
    store: Store, settler: Settler, watch: Stopwatch
) -> None:
    found = ended(10)
    store.locked = {found[0].id, found[3].id}
    assert len(settle(settler, found)) == 8
    more = ended(2)
    calls = store.calls
    assert settle(settler, more) == more
    assert store.calls == calls + 1  # it did not wait once more
    assert not settler.is_due
    store.locked.remove(found[3].id)
    watch.now += 0.5
    assert settler.is_due
    assert settle(settler) == [found[3]]
    store.locked.clear()
    watch.now += 0.5
    assert settle(settler) == [found[0]]
    assert not settler.is_due
    assert len(store.stored) == 12


def test_what_waits_for_a_lock_outlives_an_outage(
    store: Store, settler: Settler, watch: Stopwatch
) -> None:
    found = ended(4)
    store.locked = {found[0].id}
    settle(settler, found)
    store.is_down = True
    watch.now += 1
    more = ended(1)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            settle(settler, more)
        assert settler.left == more
    store.is_down = False
    store.locked.clear()
    watch.now += 1
    assert by_id(settle(settler, more)) == by_id([found[0], *more])
    assert len(by_id(store.stored)) == 5


def test_what_fails_alone_is_blamed_only_once_others_could_be_stored(
    store: Store, settler: Settler, watch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While nothing at all can be stored, the store may be at fault, and the worker says that."""
    (one, *others) = ended(3)
    store.broken = {one.id}
    for _ in range(3):
        with suppress(StoreUnavailable):
            settle(settler, settler.left or [one])
    settle(settler, settler.left)  # set aside
    for _ in range(3):
        watch.now += 60
        settle(settler)
    assert caplog.records == []

    settle(settler, others)
    for _ in range(3):
        watch.now += 60
        settle(settler)
    (record,) = caplog.records
    assert "while others can" in record.message

    store.broken = set()
    watch.now += 60
    assert settle(settler) == [one]
