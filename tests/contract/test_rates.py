"""Rates: within any while, no more starts are admitted than may be."""

import pytest

from mainspring.backends.storage import Storage
from mainspring.core import outcomes
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State, Worker
from tests.contract.jobs import (
    START,
    registered,
    state_of,
    succeeded,
)
from tests.contract.limits import admit, claim, held, limited, slots, starts


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


def look(storage: Storage, seconds: int) -> tuple[int, int | None]:
    """Admit; return how many, and in which second after START it is to be done again."""
    step = storage.admit(START + seconds * SECOND)
    return step.admitted, None if step.next_at is None else (step.next_at - START) // SECOND


def test_as_many_are_admitted_as_the_rate_allows(storage: Storage, worker: Worker) -> None:
    held(storage, [starts(2, 60)], *range(5))
    assert storage.admit(START).admitted == 2
    taken = claim(storage, worker)
    storage.settle(worker, [succeeded(one, worker, SECOND) for one in taken])  # started at START
    assert look(storage, 59) == (0, 60)
    assert look(storage, 61)[0] == 2


def test_the_window_slides(storage: Storage, worker: Worker) -> None:
    new = [limited(at, starts(2, 10)) for at in range(6)]
    began: list[int] = []
    storage.enqueue(new[:1])
    for seconds in range(40):
        if seconds == 6:
            storage.enqueue(new[1:])
        if look(storage, seconds)[0]:
            for one in claim(storage, worker):
                began.append(seconds)
                ended = (seconds + 1) * SECOND + SECOND // 2
                storage.settle(worker, [succeeded(one, worker, ended)])
    assert began == [0, 6, 11, 17, 22, 28]


def test_what_waits_for_a_worker_counts_until_it_starts(storage: Storage, worker: Worker) -> None:
    """Or a backlog of them would start all at once beside those that are admitted then."""
    held(storage, [starts(2, 10)], *range(6))
    assert admit(storage) == 2
    for seconds in (5, 10, 20, 29):
        assert look(storage, seconds) == (0, None)
    taken = claim(storage, worker)
    assert len(taken) == 2
    storage.settle(worker, [succeeded(one, worker, 31 * SECOND) for one in taken])
    assert look(storage, 32) == (0, 40)
    assert look(storage, 41)[0] == 2


def test_each_start_of_a_job_counts(storage: Storage, worker: Worker) -> None:
    held(storage, [starts(1, 10)], 0)
    admit(storage)
    (taken,) = claim(storage, worker)
    storage.settle(worker, [outcomes.snoozed(taken, START, 0)])
    assert state_of(storage, taken.id) == State.SCHEDULED
    storage.stage(START)
    assert look(storage, 1) == (0, 10)
    assert look(storage, 11) == (1, None)


def test_what_was_released_counts_once(storage: Storage, worker: Worker) -> None:
    held(storage, [starts(1, 10)], 0)
    admit(storage)
    storage.release(worker, claim(storage, worker))
    assert len(claim(storage, worker)) == 1


def test_a_rate_and_slots_together(storage: Storage, worker: Worker) -> None:
    held(storage, [starts(3, 10), slots(2)], *range(6))
    assert look(storage, 0) == (2, None)
    taken = claim(storage, worker)
    storage.settle(worker, [succeeded(one, worker, SECOND) for one in taken])
    assert look(storage, 1) == (1, 10)
    taken = claim(storage, worker)
    storage.settle(worker, [succeeded(one, worker, 3 * SECOND) for one in taken])
    assert look(storage, 4) == (0, 10)


def test_a_large_rate(storage: Storage, worker: Worker) -> None:
    storage.enqueue([limited(at, starts(2500, 60)) for at in range(3000)])
    total = 0
    for _ in range(4):
        admitted = admit(storage, total)
        taken = claim(storage, worker, 3000)
        assert len(taken) == admitted
        storage.settle(worker, [succeeded(one, worker, total + SECOND) for one in taken])
        total += admitted
    assert total == 2500
    assert admit(storage, 61 * SECOND) == 500
