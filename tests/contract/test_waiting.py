"""wait_for_work and wake: a sleeping worker is woken, and no wake-up is missed."""

import threading
import time
from collections.abc import Callable
from statistics import median

import pytest
from django.db import transaction

from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from tests.contract.contender import Contender
from tests.contract.jobs import (
    ALL,
    LEASE,
    START,
    claimed,
    deferred,
    died,
    enqueued,
    job,
    registered,
    rescue_silent,
)
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_processes, with_threads

LONG = 5.0
"""Seconds; no wait in here lasts so long unless it is broken."""

SOON = 0.05
"""Seconds within which a sleeping worker is to be woken."""


@pytest.fixture
def asleep(storage: Storage) -> Storage:
    """A store whose worker has claimed everything there was, and has nothing left to do."""
    while storage.claim(registered(storage), ALL, 100):
        pass
    return storage


def seconds_waited(storage: Storage, timeout: float = LONG) -> float:
    """Return how long the store had its worker wait."""
    began = time.monotonic()
    storage.wait_for_work(timeout)
    return time.monotonic() - began


def test_with_nothing_to_do_the_wait_ends_with_its_timeout(asleep: Storage) -> None:
    began = time.monotonic()
    assert not asleep.wait_for_work(0.02)
    assert time.monotonic() - began >= 0.019


def test_a_wait_of_no_time_looks_and_returns(asleep: Storage) -> None:
    assert not asleep.wait_for_work(0)
    asleep.enqueue([job()])
    end = time.monotonic() + LONG
    while not asleep.wait_for_work(0):  # between processes, a notification takes a moment
        assert time.monotonic() < end


@pytest.mark.parametrize("new", [job, lambda: deferred(SECOND)], ids=["ready", "deferred"])
def test_what_is_enqueued_before_the_wait_ends_it_at_once(
    asleep: Storage, new: Callable[[], object]
) -> None:
    asleep.enqueue([new()])  # type: ignore[list-item]
    assert asleep.wait_for_work(LONG)


def test_what_is_enqueued_before_the_first_wait_ever_ends_it_at_once(store: Store) -> None:
    """Between the claim that found nothing and the wait, no enqueue is missed."""
    producer = store.another_process()
    assert store.storage.claim(registered(store.storage), ALL, 1) == []
    producer.enqueue([job()])
    assert store.storage.wait_for_work(LONG)


def test_a_claim_that_finds_nothing_forgets_old_notifications(asleep: Storage) -> None:
    asleep.enqueue([job()])
    worker = registered(asleep)
    assert len(asleep.claim(worker, ALL, 10)) == 1
    end = time.monotonic() + LONG
    while asleep.claim(worker, ALL, 10) or asleep.wait_for_work(0):
        assert time.monotonic() < end


def test_a_settle_alone_forgets_no_notification(asleep: Storage) -> None:
    """A second thread of the worker settles while the first one is about to wait."""
    worker = registered(asleep)
    asleep.enqueue([job()])
    asleep.settle(worker, [])
    asleep.settle_and_claim(worker, [], ALL, 0)
    assert asleep.wait_for_work(LONG)


def test_a_wake_ends_the_next_wait(asleep: Storage) -> None:
    asleep.wake()
    assert asleep.wait_for_work(LONG)
    assert not asleep.wait_for_work(0)


def test_a_wake_before_the_first_wait_ever_ends_it(storage: Storage) -> None:
    storage.wake()
    assert storage.wait_for_work(LONG)


def test_a_claim_between_a_wake_and_the_wait_does_not_lose_the_wake(asleep: Storage) -> None:
    asleep.wake()
    assert asleep.claim(registered(asleep), ALL, 1) == []
    assert asleep.wait_for_work(LONG)


def test_a_release_wakes(asleep: Storage) -> None:
    worker = registered(asleep)
    taken = claimed(asleep, worker, 0)
    assert asleep.claim(worker, ALL, 1) == []
    asleep.release(worker, taken)
    assert asleep.wait_for_work(LONG)


def test_a_rescue_wakes(asleep: Storage) -> None:
    worker = registered(asleep)
    claimed(asleep, worker, 0)
    assert asleep.claim(worker, ALL, 1) == []
    asleep.rescue(START, [died(worker)])
    assert asleep.wait_for_work(LONG)


def test_staging_wakes(asleep: Storage) -> None:
    asleep.enqueue([deferred(SECOND)])
    assert asleep.claim(registered(asleep), ALL, 1) == []
    asleep.stage(START + SECOND)
    assert asleep.wait_for_work(LONG)


def test_what_changes_nothing_does_not_wake(asleep: Storage) -> None:
    asleep.stage(START)
    rescue_silent(asleep, START + LEASE)
    asleep.get_results([])
    asleep.stats()
    asleep.prune(START, 10)
    assert not asleep.wait_for_work(0)


@on_databases
def test_a_transaction_wakes_when_it_commits_and_not_before(asleep: Storage) -> None:
    with transaction.atomic(STORE):
        asleep.enqueue([job()])
        assert not asleep.wait_for_work(0)
    assert asleep.wait_for_work(LONG)


@on_databases
def test_a_transaction_that_rolls_back_does_not_wake(asleep: Storage) -> None:
    with transaction.atomic(STORE):
        asleep.enqueue([job()])
        transaction.set_rollback(True, using=STORE)
    assert not asleep.wait_for_work(0)


@with_threads
@pytest.mark.parametrize("what", ["enqueue", "wake"])
def test_another_thread_ends_the_wait_within_50_ms(store: Store, what: str) -> None:
    storage, worker = store.storage, registered(store.storage)
    delays = []
    for _ in range(5):
        while storage.claim(worker, ALL, 10):
            pass
        about_to_wait = threading.Event()

        def disturb(about_to_wait: threading.Event = about_to_wait) -> float:
            assert about_to_wait.wait(LONG)
            enqueued(storage, 0) if what == "enqueue" else storage.wake()
            return time.monotonic()

        disturbed = store.in_thread(disturb)
        about_to_wait.set()
        assert storage.wait_for_work(LONG)
        delays.append(time.monotonic() - disturbed.result(LONG))
    assert median(delays) < SOON


@with_processes
def test_another_process_ends_the_wait_within_50_ms(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    delays = []
    with Contender(store, "produce_one_by_one") as producer:
        for _ in range(5):
            while storage.claim(worker, ALL, 10):
                pass
            producer.tell("enqueue")
            assert storage.wait_for_work(LONG)
            woken_at = time.monotonic()
            delays.append(woken_at - producer.answer())
            assert len(storage.claim(worker, ALL, 10)) == 1
    assert median(delays) < SOON


@with_processes
def test_all_workers_are_woken(store: Store) -> None:
    """Each worker has its own notifications: none takes away another's."""
    workers = [store.storage, store.another_process(), store.another_process()]
    for one in workers:
        while one.claim(registered(one), ALL, 1):
            pass
    enqueued(store.another_process(), 0)
    for one in workers:
        assert seconds_waited(one) < LONG / 2


@with_processes
def test_a_process_that_starts_to_wait_later_is_found(store: Store) -> None:
    producer, late = store.another_process(), store.another_process()
    enqueued(producer, 0)
    worker = registered(late)
    while late.claim(worker, ALL, 1):
        pass
    enqueued(producer, 1)
    assert late.wait_for_work(LONG)
