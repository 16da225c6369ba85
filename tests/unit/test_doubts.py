"""Doubts: claims without an answer are looked for again and again, until their worker retires."""

from mainspring.backends.database.doubts import Doubts
from mainspring.core.jobs import Worker

WORKER = Worker("worker", 7)
ONE, TWO = WORKER.first_claim + 1, WORKER.first_claim + 2


def test_without_doubts_nothing_is_due() -> None:
    doubts = Doubts()
    assert not doubts.are_due(1e9)
    assert doubts.due(WORKER) == []


def test_a_claim_is_looked_for_at_once() -> None:
    doubts = Doubts()
    doubts.add(ONE, 5.0)
    assert doubts.are_due(5.0)
    assert doubts.due(WORKER, 5.0) == [ONE]


def test_it_stays_due_until_a_look_has_succeeded_however_long_that_takes() -> None:
    doubts = Doubts()
    doubts.add(ONE, 5.0)
    assert doubts.are_due(100_000.0)
    assert doubts.due(WORKER, 100_000.0) == [ONE]


def test_it_is_looked_for_less_and_less_often_and_never_forgotten() -> None:
    doubts, looks, now = Doubts(), list[float](), 100.0
    doubts.add(ONE, now)
    while now < 100_000.0:
        if doubts.are_due(now):
            looks.append(now - 100)
            doubts.looked(doubts.due(WORKER, now), now)
        now += 1.0
    assert looks[:5] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert looks[-1] == 2**16
    assert doubts.due(WORKER) == [ONE]


def test_each_has_its_own_time() -> None:
    doubts = Doubts()
    doubts.add(ONE, 0.0)
    doubts.looked([ONE], 0.5)
    doubts.add(TWO, 1.0)
    assert doubts.due(WORKER, 1.0) == [TWO]
    doubts.looked([TWO], 1.0)
    assert doubts.due(WORKER, 1.5) == [ONE]
    assert doubts.due(WORKER, 2.0) == [ONE, TWO]


def test_claims_of_another_worker_are_its_own_affair() -> None:
    doubts = Doubts()
    doubts.add(ONE, 0.0)
    assert doubts.due(Worker("another", 8), 1.0) == []
    assert doubts.due(WORKER, 1.0) == [ONE]


def test_those_of_a_worker_that_has_retired_are_forgotten() -> None:
    doubts, another = Doubts(), Worker("another", 8)
    doubts.add(ONE, 0.0)
    doubts.add(another.first_claim + 1, 1.0)
    doubts.forget(WORKER)
    assert doubts.due(WORKER) == []
    assert not doubts.are_due(0.5)
    assert doubts.due(another, 1.0) == [another.first_claim + 1]
    doubts.forget(another)
    assert not doubts.are_due(1e9)


def test_what_is_locked_is_looked_for_again_soon_however_long_it_lasts() -> None:
    doubts = Doubts()
    doubts.add(ONE, 0.0)
    for moment in (0.0, 1.0, 50.0, 1000.0):
        assert doubts.are_due(moment)
        doubts.put_off(doubts.due(WORKER, moment), moment)
        assert not doubts.are_due(moment + 0.5)
        assert doubts.are_due(moment + 1)
