"""Vacuumer: one vacuum at a time, beside the other loops."""

import threading
from typing import TYPE_CHECKING, cast

import pytest

from mainspring.exceptions import StoreUnavailable
from mainspring.maintenance.vacuumer import Vacuumer

if TYPE_CHECKING:
    from mainspring.backends.storage import Storage

LONG = 5.0  # seconds


class VacuumedStorage:
    """A store whose vacuum lasts until it is let go."""

    def __init__(self) -> None:
        self.is_due = True
        self.fails = False
        self.vacuumed = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.closed = threading.Semaphore(0)

    def may_need_vacuum(self) -> bool:
        return self.is_due

    def vacuum(self) -> bool:
        self.vacuumed.release()
        assert self.let_go.acquire(timeout=LONG)
        if self.fails:
            raise StoreUnavailable("the store is down")
        return True

    def close_thread(self) -> None:
        self.closed.release()


@pytest.fixture
def storage() -> VacuumedStorage:
    return VacuumedStorage()


@pytest.fixture
def vacuumer(storage: VacuumedStorage) -> Vacuumer:
    return Vacuumer(cast("Storage", storage))


def finish(storage: VacuumedStorage, vacuumer: Vacuumer) -> None:
    storage.let_go.release()
    assert vacuumer._thread is not None
    vacuumer._thread.join(LONG)


def test_a_long_vacuum_holds_nobody_up_and_no_second_one_starts(
    storage: VacuumedStorage, vacuumer: Vacuumer
) -> None:
    assert vacuumer.step(0) == vacuumer.step(1) == 1.0
    assert storage.vacuumed.acquire(timeout=LONG)
    assert not storage.vacuumed.acquire(blocking=False)
    finish(storage, vacuumer)
    assert storage.closed.acquire(blocking=False)
    vacuumer.step(2)
    assert storage.vacuumed.acquire(timeout=LONG)
    finish(storage, vacuumer)


def test_without_need_nothing_starts(storage: VacuumedStorage, vacuumer: Vacuumer) -> None:
    storage.is_due = False
    vacuumer.step(0)
    assert vacuumer._thread is None


def test_a_vacuum_that_fails_is_told_and_tried_again(
    storage: VacuumedStorage, vacuumer: Vacuumer, caplog: pytest.LogCaptureFixture
) -> None:
    storage.fails = True
    vacuumer.step(0)
    finish(storage, vacuumer)
    assert "the store is down" in caplog.text
    storage.fails = False
    vacuumer.step(1)
    finish(storage, vacuumer)
    assert storage.closed.acquire(blocking=False)
