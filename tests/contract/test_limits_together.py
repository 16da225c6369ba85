"""Limits together with other verbs, other processes, and what tasks can say besides."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from mainspring import TaskResultStatus
from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State, Worker
from tests.contract.contender import Contender
from tests.contract.jobs import (
    ALL,
    START,
    claimed,
    deferred,
    finish,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.limits import admit, claim, held, limited, most_at_once, slots, states
from tests.contract.router import STORE
from tests.contract.stores import (
    ONE_ORDER,
    Store,
    on_databases,
    on_kinds,
    with_processes,
)
from tests.contract.tasks import one_each

on_servers = on_kinds([kind for kind in ONE_ORDER if kind.server])

HELD, READY = State.HELD, State.READY


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


def test_what_is_deferred_is_held_when_it_is_due(storage: Storage) -> None:
    group = limited(0, slots(1)).limit_group
    new = [deferred(due * SECOND, limit_group=group) for due in (1, 2, 9)]
    plain = deferred(SECOND)
    storage.enqueue([*new, plain])
    assert storage.stage(START + 2 * SECOND).staged == 3
    assert states(storage, [*new, plain]) == [HELD, HELD, State.SCHEDULED, READY]
    assert admit(storage, 2 * SECOND) == 1
    assert storage.stats().held == 1


def test_many_are_enqueued_at_once(storage: Storage) -> None:
    new = [limited(at, slots(2), metadata=b"{}") for at in range(1200)]
    storage.enqueue_as_made(iter([new[:500], new[500:1000], new[1000:]]))
    assert storage.stats().held == 1200
    assert admit(storage) == 2


def test_slots_are_found_by_other_processes(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    held(storage, [slots(3)], *range(5))
    assert admit(storage) == 3
    assert admit(another) == 0
    worker = registered(another)
    taken = claim(another, worker)
    another.settle(worker, [succeeded(taken[0], worker)])
    assert admit(another) == 1
    assert admit(storage) == 0


@contextmanager
def stuck(storage: Any) -> Iterator[None]:
    """Have a storage stop in the midst of admitting, as a process that is frozen does."""
    may_go_on = threading.Event()
    has_chosen = threading.Event()
    first_held = storage._dialect.first_held

    def never_ending(*args: Any) -> Any:
        rows = first_held(*args)
        has_chosen.set()
        assert may_go_on.wait(30)
        return rows

    storage._dialect.first_held = never_ending
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(_admit_and_close, storage)
        assert has_chosen.wait(20)
        yield
        may_go_on.set()
        assert done.result(20) == 1


def _admit_and_close(storage: Storage) -> int:
    try:
        return admit(storage)
    finally:
        storage.close_thread()


@with_processes
def test_who_admits_keeps_others_from_it(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    held(storage, [slots(1)], 0, 1)
    with stuck(another):
        second = store.in_thread(lambda: admit(storage))
        with suppress(TimeoutError):
            second.result(0.1)
    assert second.result(20) == 0


@on_servers
def test_outcomes_do_not_wait_for_one_that_is_stuck_admitting(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    worker = registered(storage)
    held(storage, [slots(2)], *range(4))
    admit(storage)
    taken, other = claim(storage, worker)
    storage.settle(worker, [succeeded(other, worker)])
    group = taken.limit_group or ""
    with stuck(another):
        began = time.monotonic()
        outcome = succeeded(taken, worker)
        assert storage.settle_and_claim(worker, [outcome], ALL, 5, {group}) == ([], [])
        assert time.monotonic() - began < 5
        assert state_of(storage, taken.id) == State.SUCCESSFUL
    assert admit(storage) == 1  # the stager comes back to it
    assert len(claim(storage, worker)) == 2


@with_processes
def test_processes_that_admit_at_once_exceed_no_limit(store: Store) -> None:
    new = [limited(at, slots(3), slots(9, f"of {at % 2}")) for at in range(200)]
    store.storage.enqueue(new)
    with ExitStack() as stack:
        contenders = [Contender(store, "work_within_limits", 2) for _ in range(3)]
        for one in contenders:
            stack.enter_context(one)
        for one in contenders:
            one.tell("go")
        spans = [tuple(span) for one in contenders for span in one.answer()]
    assert len(spans) == 200
    assert most_at_once(spans) <= 3
    assert states(store.storage, new) == [State.SUCCESSFUL] * 200


def test_results_of_jobs_with_limits_are_as_others(storage: Storage, worker: Worker) -> None:
    held(storage, [slots(1)], 0)
    admit(storage)
    (taken,) = claim(storage, worker)
    storage.settle(worker, [succeeded(taken, worker)])
    found = stored(storage, taken.id)
    assert (found.state, found.return_value) == (State.SUCCESSFUL, b"1")
    plain = finish(storage, worker, 5, finished_at=SECOND)
    assert stored(storage, plain.id)[5:8] == (START + 5, State.SUCCESSFUL, None)
    assert claimed(storage, worker, 9)


# From the task on


def test_calls_of_a_task_with_limits_are_held(storage: Storage, worker: Worker) -> None:
    results = [one_each.enqueue(a) for a in (1, 2)]
    assert one_each.enqueue(1).id == results[0].id  # unique while it waits
    many = one_each.using(unique=False).enqueue_many([[1], [2], {"a": 3}])
    later = one_each.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(9)
    assert {result.status for result in (*results, *many, later)} == {TaskResultStatus.READY}
    jobs = storage.get_results([result.id for result in (*results, *many)])
    assert {job.state for job in jobs} == {HELD}
    assert {job.limit_group for job in jobs} == {f'[["c:one for each[{a}]",1]]' for a in (1, 2, 3)}
    assert state_of(storage, later.id) == State.SCHEDULED
    assert stored(storage, later.id).limit_group == '[["c:one for each[9]",1]]'
    assert storage.stats().held == 5
    assert admit(storage) == 3
    assert sorted(one.arguments for one in claim(storage, worker)) == [
        b"[[1],{}]",
        b"[[2],{}]",
        b'[[],{"a":3}]',
    ]


@on_databases
def test_a_call_is_held_once_its_transaction_commits(store: Store) -> None:
    storage = store.storage
    with transaction.atomic(STORE):
        one_each.enqueue(1)
        one_each.using(unique=False).enqueue_many([[1]] * 700)
        transaction.set_rollback(True, STORE)
    assert (storage.stats().held, admit(storage)) == (0, 0)
    with transaction.atomic(STORE):
        result = one_each.enqueue(1)
        if store.kind.has_processes and store.kind.server:
            assert admit(store.another_process()) == 0
    assert admit(storage) == 1
    assert state_of(storage, result.id) == READY


@on_databases
def test_many_calls_are_held_in_one_go_or_not_at_all(store: Store) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        one_each.using(unique=False).enqueue_many([[1]] * 1300 + [[]])
    assert store.storage.stats().held == 0
    one_each.using(unique=False).enqueue_many([[a % 7] for a in range(1300)])
    assert store.storage.stats().held == 1300
    assert admit(store.storage) == 7


@on_databases
def test_without_the_tables_of_limits_what_was_held_is_ready(store: Store) -> None:
    (new,) = held(store.storage, [slots(1)], 0)
    try:
        call_command("migrate", "mainspring_database", "0004", database=STORE, verbosity=0)
        assert state_of(store.storage, new.id) == READY
    finally:
        call_command("migrate", "mainspring_database", database=STORE, verbosity=0)
    held(store.storage, [slots(1)], 1)
    assert admit(store.storage) == 1
