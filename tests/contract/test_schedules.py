"""The verbs of schedules: a tick is enqueued once, whoever tries."""

import time
from concurrent.futures import wait
from threading import Barrier
from typing import Any

import pytest
from django.db import transaction

from mainspring.backends.storage import Storage
from mainspring.core import clock
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.core.limits import Limit
from mainspring.core.schedule_states import ScheduleState, Start, Tick
from mainspring.core.unique import unique_of
from tests.contract import tasks
from tests.contract.contender import Contender
from tests.contract.jobs import ALL, claimed, enqueued, ids, registered, succeeded
from tests.contract.limits import admit
from tests.contract.stores import (
    ONE_ORDER,
    Store,
    on_databases,
    on_kinds,
    with_processes,
    with_threads,
)

HOUR = 3600 * SECOND
NAME = 'nightly "é" \\ {x}, NULL'  # one that is hard to write down


def start(storage: Storage, *names: str, at: int = 1000, fingerprint: str = "f") -> None:
    """Begin schedules."""
    storage.start_schedules([Start(name, fingerprint, 1, at) for name in names])


def state_of(storage: Storage, name: str = NAME) -> ScheduleState:
    """Return the state of a schedule."""
    return storage.read_schedules([name])[name]


def job(store: Store, task: Any = tasks.add, *args: Any) -> Job:
    """Make a job, not stored yet."""
    return store.backend.new_job(task, args or (1,), {})


def step(store: Store, last: int = 1000, new: int = 2000, name: str = NAME, **changes: Any) -> Tick:
    """Return a step with one call."""
    return Tick(name, "f", last, new, [(job(store), None)])._replace(**changes)


def test_a_schedule_begins_as_told(storage: Storage) -> None:
    assert storage.read_schedules([NAME]) == {}
    assert storage.list_schedules() == []
    start(storage, NAME, "other")
    new = ScheduleState(NAME, "f", 1, 1000, False, 1000)
    assert storage.read_schedules([NAME, "unknown"]) == {NAME: new}
    assert storage.list_schedules() == [new, new._replace(name="other")]


def test_names_are_told_apart_byte_by_byte(storage: Storage) -> None:
    start(storage, "a", at=1)
    start(storage, "A", at=2)
    start(storage, "a ", at=3)
    states = storage.read_schedules(["a", "A", "a ", "á"])
    assert {name: state.last_tick for name, state in states.items()} == {"a": 1, "A": 2, "a ": 3}


def test_many_schedules(storage: Storage) -> None:
    names = [f"schedule {number:04}" for number in range(2500)]
    start(storage, *names)
    assert sorted(storage.read_schedules(names)) == names
    assert [state.name for state in storage.list_schedules()] == names


def test_another_aliases_schedules_are_apart(store: Store) -> None:
    start(store.storage, NAME)
    assert store.other_alias.read_schedules([NAME]) == {}
    assert store.other_alias.tick([step(store)], 5) == {}
    start(store.other_alias, NAME, at=7)
    assert state_of(store.storage).last_tick == 1000


def test_a_new_declaration_starts_anew_and_an_earlier_one_does_not(storage: Storage) -> None:
    storage.start_schedules([Start(NAME, "f", 10, 1000)])
    storage.start_schedules([Start(NAME, "f", 20, 9000)])  # the same
    assert state_of(storage) == ScheduleState(NAME, "f", 10, 1000, False, 1000)
    storage.start_schedules([Start(NAME, "old", 9, 9000)])
    assert state_of(storage).fingerprint == "f"
    storage.pause_schedule(NAME)
    storage.start_schedules([Start(NAME, "new", 11, 9000)])
    assert state_of(storage) == ScheduleState(NAME, "new", 11, 9000, True, 9000)


# Ticking


def test_a_tick_stores_its_calls(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    tick = step(store)
    (made, _) = tick.calls[0]
    assert storage.tick([tick], 2500) == {NAME: [made]}
    assert state_of(storage) == ScheduleState(NAME, "f", 1, 2000, False, 2500, made.id, State.READY)
    (ready,) = storage.claim(registered(storage), ALL, 10)
    assert ready.id == made.id
    assert state_of(storage).last_state == State.RUNNING
    assert state_of(storage).is_busy


def test_a_tick_without_calls_only_passes(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    storage.tick([step(store)], 2500)
    last = state_of(storage).last_job_id
    assert storage.tick([step(store, 2000, 3000, calls=())], 3500) == {NAME: []}
    assert state_of(storage).last_tick == 3000
    assert state_of(storage).last_job_id == last


def test_a_tick_is_taken_once_and_a_lost_answer_does_no_harm(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    tick = step(store)
    assert storage.tick([tick], 2500)
    assert storage.tick([tick], 2500) == {}
    assert storage.tick([step(store)], 2500) == {}
    assert storage.stats().ready == {"default": 1}


@pytest.mark.parametrize("changes", [{"last": 999}, {"last": 1001}, {"fingerprint": "g"}])
def test_a_tick_that_does_not_fit_is_not_taken(store: Store, changes: dict[str, Any]) -> None:
    start(store.storage, NAME)
    assert store.storage.tick([step(store, **changes)], 2500) == {}
    assert store.storage.stats().ready == {}
    assert state_of(store.storage).last_tick == 1000


def test_those_that_fit_are_taken_and_the_others_are_not(store: Store) -> None:
    storage = store.storage
    start(storage, "a", "b", "c", "d")
    storage.pause_schedule("b")
    storage.tick([step(store, name="c")], 2500)
    ticks = [step(store, name=name) for name in ("d", "unknown", "c", "b", "a")]
    done = storage.tick(ticks, 2600)
    assert sorted(done) == ["a", "d"]
    assert storage.stats().ready == {"default": 3}


def test_several_calls_of_a_tick_keep_their_order(store: Store) -> None:
    start(store.storage, NAME)
    calls = [(job(store, tasks.add, number), None) for number in range(5)]
    store.storage.tick([step(store, calls=calls)], 2500)
    assert state_of(store.storage).last_job_id == calls[-1][0].id
    found = store.storage.claim(registered(store.storage), ALL, 10)
    assert sorted(ids(found)) == sorted(one.id for one, _ in calls)


def test_calls_in_the_future_and_with_large_arguments(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    at = clock.now() + HOUR
    later = job(store)._replace(state=State.SCHEDULED, available_at=at, run_after=at)
    large = job(store, tasks.echo, "x" * 200_000)
    storage.tick([step(store, calls=[(large, None), (later, None)])], 2500)
    assert storage.stats().scheduled == 1
    (found,) = storage.claim(registered(storage), ALL, 10)
    assert found.arguments == large.arguments
    assert storage.stage(at).staged == 1


def test_calls_with_limits_wait_for_them(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    limited = tasks.add.using(concurrency=Limit(1))
    calls = [(job(store, limited, number), None) for number in range(2)]
    assert {one.state for one, _ in calls} == {State.HELD}
    storage.tick([step(store, calls=calls)], 2500)
    assert storage.stats().held == 2
    assert admit(storage) == 1
    worker = registered(storage)
    (first,) = storage.claim(worker, ALL, 10)
    storage.settle(worker, [succeeded(first, worker)])
    assert admit(storage) == 1


def test_a_call_wakes_a_worker(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    storage.claim(registered(storage), ALL, 10)
    storage.wait_for_work(0)
    storage.tick([step(store)], 2500)
    assert storage.wait_for_work(5)


# Unique calls


def unique_step(store: Store, last: int, new: int) -> Tick:
    """Return a step whose call is equal to those of the others."""
    made = job(store, tasks.once)
    return step(store, last, new, calls=[(made, unique_of(tasks.once, made))])


def test_an_equal_call_that_is_pending_stands_for_that_of_a_tick(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    first, second, third = (unique_step(store, at, at + 1000) for at in (1000, 2000, 3000))
    (made, _) = first.calls[0]
    assert storage.tick([first], 2500) == {NAME: [made]}
    assert storage.tick([first], 2500) == {}
    (stands,) = storage.tick([second], 3500)[NAME]
    assert stands.id == made.id
    assert state_of(storage).last_job_id == made.id
    assert state_of(storage).last_tick == 3000
    storage.claim(registered(storage), ALL, 10)
    (new,) = storage.tick([third], 4500)[NAME]
    assert new.id == third.calls[0][0].id
    assert storage.stats().ready == {"default": 1}


def test_unique_calls_and_others_at_once(store: Store) -> None:
    storage = store.storage
    start(storage, NAME, "other")
    storage.pause_schedule("paused")
    unique = unique_step(store, 1000, 2000)
    ticks = [unique, step(store, name="other"), unique._replace(name="paused")]
    assert sorted(storage.tick(ticks, 2500)) == sorted([NAME, "other"])
    assert storage.stats().ready == {"default": 2}


@on_kinds([kind for kind in ONE_ORDER if kind.server])
def test_who_holds_the_key_of_an_equal_call_holds_up_no_worker(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    with transaction.atomic("store"):
        made = tasks.once.enqueue(1)
        began = time.monotonic()
        ticks = [unique_step(store, 1000, 2000)]
        assert store.in_thread(lambda: storage.tick(ticks, 2500)).result(10) == {}
        assert time.monotonic() - began < 4
    (stands,) = store.in_thread(lambda: storage.tick(ticks, 2500)).result(10)[NAME]
    assert stands.id == made.id


# The last call


def test_the_last_call_is_busy_until_it_has_finished_or_is_gone(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    assert not state_of(storage).is_busy
    storage.tick([step(store)], 2500)
    worker = registered(storage)
    assert state_of(storage).is_busy
    (running,) = storage.claim(worker, ALL, 1)
    assert state_of(storage).is_busy
    storage.settle(worker, [succeeded(running, worker)])
    assert not state_of(storage).is_busy
    assert state_of(storage).last_state == State.SUCCESSFUL
    assert storage.list_schedules()[0].last_state == State.SUCCESSFUL
    storage.prune(clock.now() + HOUR, 100)
    assert state_of(storage).last_state is None
    assert state_of(storage).last_job_id == running.id


# Pausing


def test_a_paused_schedule_does_not_tick_and_goes_on_from_now(store: Store) -> None:
    storage = store.storage
    start(storage, NAME)
    assert storage.pause_schedule(NAME)
    assert not storage.pause_schedule(NAME)
    assert state_of(storage).is_paused
    assert storage.tick([step(store), unique_step(store, 1000, 2000)], 2500) == {}
    before = storage.clock()
    assert storage.resume_schedule(NAME)
    assert not storage.resume_schedule(NAME)
    resumed = state_of(storage)
    assert not resumed.is_paused
    assert before - 2000 <= resumed.last_tick <= storage.clock() + 2000
    assert storage.tick([step(store)], 2500) == {}


def test_one_that_no_worker_has_seen_can_be_paused(storage: Storage) -> None:
    assert not storage.resume_schedule(NAME)
    assert storage.pause_schedule(NAME)
    assert not storage.pause_schedule(NAME)
    start(storage, NAME)
    state = state_of(storage)
    assert (state.fingerprint, state.last_tick, state.is_paused) == ("f", 1000, True)


@on_databases
def test_pausing_is_part_of_the_callers_transaction(store: Store) -> None:
    start(store.storage, NAME)
    with transaction.atomic("store"):
        store.storage.pause_schedule(NAME)
        store.storage.pause_schedule("other")
        transaction.set_rollback(True, "store")
    assert [state.is_paused for state in store.storage.list_schedules()] == [False]


# Keeping and forgetting


def test_what_nobody_declares_is_forgotten(storage: Storage) -> None:
    start(storage, "a", "b", "c", at=1000)
    storage.keep_schedules(["a", "unknown"], 5000, 2000)
    assert state_of(storage, "a").seen_at == 5000
    storage.keep_schedules(["a"], 6000, 5000)  # that was noted not long ago
    assert state_of(storage, "a").seen_at == 5000
    assert storage.forget_schedules(1000) == 0
    assert storage.forget_schedules(2000) == 2
    assert [state.name for state in storage.list_schedules()] == ["a"]


def test_the_clock_is_that_of_the_store(storage: Storage) -> None:
    assert abs(storage.clock() - clock.now()) < 5 * SECOND


def test_there_are_no_entries_at_first(storage: Storage) -> None:
    assert storage.entries_mark() == storage.entries_mark()
    assert storage.read_entries() == []


# Many at once


@with_threads
def test_of_many_threads_one_takes_each_tick(store: Store) -> None:
    names = [f"s{number}" for number in range(20)]
    start(store.storage, *names)
    threads, rounds = 4, 10
    barrier = Barrier(threads)

    def take() -> list[tuple[str, int]]:
        taken = []
        for number in range(rounds):
            barrier.wait()
            last = 1000 * (number + 1)
            ticks = [step(store, last, last + 1000, name) for name in names]
            for _ in range(2):  # again, as after a lost answer
                taken += [(name, last) for name in store.storage.tick(ticks, last)]
        return taken

    futures = [store.in_thread(take) for _ in range(threads)]
    wait(futures)
    taken = [one for future in futures for one in future.result()]
    assert len(taken) == len(set(taken))
    # Who found others at it has left it to them: all have come as far as the last round.
    assert store.storage.stats().ready == {"default": len(taken)}
    assert len(taken) >= rounds


@with_processes
@pytest.mark.parametrize("is_unique", [False, True], ids=["plain", "unique"])
def test_of_many_processes_one_takes_each_tick(store: Store, is_unique: bool) -> None:
    names = [f"s{number}" for number in range(3 if is_unique else 20)]
    start(store.storage, *names, at=0)
    others = [Contender(store, "tick", names, is_unique) for _ in range(3)]
    with others[0], others[1], others[2]:
        for other in others:
            other.tell("go")
        taken = [tuple(one) for other in others for one in other.answer()]
    assert len(taken) == len(set(taken))
    assert {state.last_tick for state in store.storage.list_schedules()} == {20_000}
    assert len(taken) == len(names) * 20
    if not is_unique:
        assert store.storage.stats().ready == {"default": len(taken)}
    else:
        assert store.storage.stats().ready == {"default": len(names)}


def test_a_running_claim_is_left_alone(store: Store) -> None:
    storage = store.storage
    worker = registered(storage)
    (running,) = claimed(storage, worker, 0)
    enqueued(storage, 1)
    start(storage, NAME)
    storage.tick([step(store)], 2500)
    assert storage.settle(worker, [succeeded(running, worker)]) == []
