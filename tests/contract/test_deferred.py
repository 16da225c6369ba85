"""stage and cancel: what waits, and what is not to run any more."""

from datetime import datetime, timedelta, timezone

import pytest
from django.tasks.exceptions import InvalidTask

from mainspring.backends.storage import Staged, Storage
from mainspring.core import clock, codec, outcomes
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from tests.contract.jobs import (
    ALL,
    START,
    claimed,
    deferred,
    died,
    enqueued,
    failed,
    ids,
    in_order,
    job,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.stores import Store, in_both_orders
from tests.contract.tasks import add


def test_with_nothing_deferred_there_is_nothing_to_stage(storage: Storage) -> None:
    enqueued(storage, 0)
    assert storage.stage(START + SECOND) == Staged(0, None)


def test_what_is_not_due_is_left_and_its_moment_told(storage: Storage) -> None:
    later, sooner = deferred(9 * SECOND), deferred(5 * SECOND)
    storage.enqueue([later, sooner])
    assert storage.stage(START + 5 * SECOND - 1) == Staged(0, START + 5 * SECOND)
    assert stored(storage, sooner.id) == sooner


def test_what_is_due_becomes_ready(storage: Storage) -> None:
    new = deferred(5 * SECOND)
    storage.enqueue([new])
    assert storage.stage(START + 5 * SECOND) == Staged(1, None)
    assert stored(storage, new.id) == new._replace(state=State.READY)
    assert ids(storage.claim(registered(storage), ALL, 10)) == [new.id]


def test_only_what_is_due_is_staged(storage: Storage) -> None:
    new = [deferred(due * SECOND) for due in (4, 1, 3, 2)]
    storage.enqueue(new)
    assert storage.stage(START + 2 * SECOND) == Staged(2, START + 3 * SECOND)
    states = [state_of(storage, one.id) for one in new]
    assert states == [State.SCHEDULED, State.READY, State.SCHEDULED, State.READY]


def test_staging_twice_does_nothing_more(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    storage.enqueue([deferred(0), deferred(SECOND)])
    assert storage.stage(START) == Staged(1, START + SECOND)
    assert another.stage(START) == Staged(0, START + SECOND)


def test_more_than_one_step_is_staged_in_steps(storage: Storage) -> None:
    new = [deferred(due) for due in range(2500)]
    storage.enqueue(new)
    staged = 0
    for _ in range(3):
        step = storage.stage(START + SECOND)
        staged += step.staged
        assert (step.next_at is None) == (staged == 2500)
        assert step.next_at is None or step.next_at <= START + SECOND  # go on at once
    assert staged == 2500
    assert storage.stats().ready == {"default": 2500}


@in_both_orders
def test_jobs_of_all_queues_and_priorities_are_staged(store: Store) -> None:
    storage = store.storage
    storage.enqueue(
        [
            deferred(due, queue_name=name, priority=priority)
            for due, name, priority in ((1, "a", 0), (2, "b", 9), (3, "c", 0))
        ]
    )
    storage.stage(START + 10)
    taken = storage.claim(registered(storage), ALL, 10)
    assert [one.queue_name for one in taken] == [
        "b",
        *("ac" if store.kind.order == "fifo" else "ca"),
    ]


def test_what_a_worker_postponed_is_staged_in_its_turn(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    outcome = outcomes.postponed(taken, START)
    storage.settle(worker, [outcome])
    assert state_of(storage, taken.id) == State.SCHEDULED
    assert storage.stage(outcome.available_at - 1) == Staged(0, outcome.available_at)
    assert storage.stage(outcome.available_at) == Staged(1, None)
    (again,) = storage.claim(worker, ALL, 10)
    assert again.worker_ids is None
    assert again.errors is None


def test_a_job_of_the_past_is_due_at_once(storage: Storage) -> None:
    storage.enqueue([deferred(-(START // 2))])
    assert storage.stage(START) == Staged(1, None)


@pytest.mark.parametrize("due", [None, SECOND], ids=["ready", "scheduled"])
def test_what_has_not_started_is_cancelled(storage: Storage, due: int | None) -> None:
    one = job() if due is None else deferred(due)
    storage.enqueue([one])
    before = clock.now()
    assert storage.cancel([one.id]) == [one.id]
    found = stored(storage, one.id)
    assert found.state == State.CANCELLED
    assert found.finished_at is not None
    assert before <= found.finished_at <= clock.now()
    ((path, text),) = codec.decode(found.errors or b"[]")
    assert path == "mainspring.exceptions.TaskCancelled"
    assert "cancelled" in text
    assert found.worker_ids is None
    assert found.started_at is None
    unchanged = {"state": one.state, "finished_at": None, "errors": None}
    assert found._replace(**unchanged) == one


def test_what_is_cancelled_is_neither_claimed_nor_staged(storage: Storage) -> None:
    (ready,) = enqueued(storage, 0)
    waiting = deferred(SECOND)
    storage.enqueue([waiting])
    assert sorted(storage.cancel([ready.id, waiting.id])) == sorted([ready.id, waiting.id])
    assert storage.stage(START + 2 * SECOND) == Staged(0, None)
    assert storage.claim(registered(storage), ALL, 10) == []


def test_what_runs_is_cancelled_at_once(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    before = clock.now()
    assert storage.cancel([taken.id]) == [taken.id]
    found = stored(storage, taken.id)
    assert (found.state, found.claim) == (State.CANCELLED, None)
    assert found.finished_at is not None
    assert before <= found.finished_at <= clock.now()
    ((path, text),) = codec.decode(found.errors or b"[]")
    assert path == "mainspring.exceptions.TaskCancelled"
    assert "while it ran" in text
    unchanged = {"state": taken.state, "claim": taken.claim, "finished_at": None, "errors": None}
    assert found._replace(**unchanged) == taken
    assert storage.stats().running == 0


def test_an_outcome_of_what_was_cancelled_is_lost(storage: Storage) -> None:
    worker = registered(storage)
    taken = claimed(storage, worker, 0, 1, 2)
    storage.cancel(ids(taken[:2]))
    before = sorted(storage.get_results(ids(taken[:2])))
    settled = [succeeded(taken[0], worker), failed(taken[1], worker), succeeded(taken[2], worker)]
    assert sorted(storage.settle(worker, settled)) == sorted(ids(taken[:2]))
    assert storage.release(worker, taken) == 0
    assert storage.rescue(START, [died(worker, taken)]) == []
    assert sorted(storage.get_results(ids(taken[:2]))) == before
    assert state_of(storage, taken[2].id) == State.SUCCESSFUL


def test_what_has_finished_is_not_cancelled(storage: Storage) -> None:
    worker = registered(storage)
    good, bad, cancelled = claimed(storage, worker, 0, 1, 2)
    storage.settle(worker, [succeeded(good, worker), failed(bad, worker)])
    storage.release(worker, [cancelled])
    assert storage.cancel([cancelled.id]) == [cancelled.id]
    before = sorted(storage.get_results(ids([good, bad, cancelled])))
    assert storage.cancel(ids([good, bad, cancelled])) == []
    assert sorted(storage.get_results(ids([good, bad, cancelled]))) == before


def test_unknown_ids_are_not_cancelled(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    assert storage.cancel([]) == []
    assert storage.cancel(["no such id", new.id, job().id]) == [new.id]


def test_an_id_that_is_named_twice_is_cancelled_once(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    assert storage.cancel([new.id, new.id]) == [new.id]
    assert len(codec.decode(stored(storage, new.id).errors or b"[]")) == 1


def test_another_aliases_jobs_are_not_cancelled(store: Store) -> None:
    (new,) = enqueued(store.storage, 0)
    assert store.other_alias.cancel([new.id]) == []
    assert state_of(store.storage, new.id) == State.READY


def test_a_cancelled_job_keeps_the_errors_of_its_attempts(storage: Storage) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.rescue(START, [died(worker, [taken])])
    storage.cancel([taken.id])
    paths = [path for path, *_ in codec.decode(stored(storage, taken.id).errors or b"[]")]
    assert paths == ["mainspring.exceptions.WorkerLost", "mainspring.exceptions.TaskCancelled"]


@in_both_orders
def test_order_after_staging_follows_the_documented_rule_for_a_mixed_queue(store: Store) -> None:
    storage = store.storage
    storage.enqueue([deferred(30, priority=1), deferred(10), deferred(20)])
    enqueued(storage, 15, 25)
    storage.stage(START + 30)
    taken = storage.claim(registered(storage), ALL, 10)
    assert [one.available_at - START for one in taken] == [
        30,
        *in_order(store.kind.order, (10, 15, 20, 25)),
    ]


@pytest.mark.parametrize("edge", [datetime.min, datetime.max], ids=["first", "last"])
def test_a_run_after_that_some_zone_cannot_show_is_refused_before_it_is_stored(
    store: Store, edge: datetime
) -> None:
    for hours in (-12, 0, 14):
        with pytest.raises(InvalidTask, match="run_after must lie between 0001-01-02 and 9999"):
            add.using(run_after=edge.replace(tzinfo=timezone(timedelta(hours=hours)))).enqueue(1)
    stats = store.storage.stats()
    assert (stats.ready, stats.scheduled) == ({}, 0)


def test_one_that_an_earlier_version_has_stored_is_shown_as_the_nearest_that_all_zones_have(
    store: Store,
) -> None:
    beyond = clock.to_moment(datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))))
    late = deferred(beyond - START)
    store.storage.enqueue([late])
    found = store.backend.get_result(late.id)
    assert found.run_after == clock.to_datetime(clock.LAST)
