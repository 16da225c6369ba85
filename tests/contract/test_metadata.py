"""Metadata and progress: what a call notes down, for its next attempt and for others to see."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.tasks import TaskResultStatus
from django.tasks.exceptions import InvalidTask

from mainspring import Progress, TaskResult, task_backends
from mainspring.core import clock
from mainspring.core.jobs import State
from mainspring.exceptions import StoreUnavailable
from mainspring.signals import task_retried
from tests.contract.jobs import (
    ALL,
    START,
    claimed,
    died,
    enqueued,
    failed,
    finish,
    job,
    registered,
    stored,
    succeeded,
)
from tests.contract.stores import Kind, Store, Stores
from tests.contract.tasks import (
    add,
    count,
    describe,
    interludes,
    note,
    note_soon,
    report,
    report_soon,
    save,
    save_soon,
    save_what_is_refused,
)
from tests.contract.working import InlineWorker, make_due, work_off

noting = pytest.mark.parametrize("task", [note, note_soon], ids=["sync", "async"])
NESTED = {"customer": 7, "path": ["a", {"b": None}], "ä": 1.5}


@pytest.fixture
def saves(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """All metadata that was saved."""
    saved: list[bytes | None] = []
    storage = store.storage
    save_metadata = storage.save_metadata

    def save(job: Any, metadata: bytes | None) -> bool:
        saved.append(metadata)
        return save_metadata(job, metadata)

    monkeypatch.setattr(storage, "save_metadata", save)
    return saved


# What the caller gives


def test_what_the_caller_notes_down_is_in_the_result(store: Store) -> None:
    result = add.using(metadata=NESTED).enqueue(1)
    assert result.metadata == NESTED
    assert result.refresh().metadata == NESTED
    assert result.progress is None
    work_off(store)
    assert result.refresh().metadata == NESTED


def test_without_it_there_is_none(store: Store) -> None:
    result = add.enqueue(1)
    assert (result.metadata, result.refresh().metadata) == ({}, {})
    assert stored(store.storage, result.id).metadata is None
    empty = add.using(metadata={}).enqueue(1)
    assert empty.refresh().metadata == {}


def test_each_of_many_calls_has_its_own(store: Store) -> None:
    results = note.using(metadata={"a": 1}).enqueue_many([[{"b": 1}], [{"b": 2}]])
    work_off(store)
    assert [result.refresh().metadata for result in results] == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]


def test_one_call_leaves_the_others_alone(store: Store) -> None:
    with_it, without = add.using(metadata={"a": 1}).enqueue(1), add.enqueue(1)
    other_alias = add.using(metadata={"b": 1}, backend="other").enqueue(1)
    assert with_it.refresh().metadata == {"a": 1}
    assert without.refresh().metadata == {}
    assert task_backends["other"].get_result(other_alias.id).metadata == {"b": 1}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"a": {1}}, r"The metadata\['a'\] is a set, which is not JSON"),
        ({"a": float("nan")}, r"The metadata\['a'\] is nan"),
        ({1: 2}, "keys must be str"),
        ({"_a": 1}, "The metadata key '_a' is reserved"),
        ([1], "metadata must be a dict"),
    ],
)
def test_what_is_no_metadata_is_refused(store: Store, metadata: Any, said: str) -> None:
    with pytest.raises(InvalidTask, match=said):
        add.using(metadata=metadata)
    assert store.storage.stats().ready == {}


# What a task notes down


@noting
def test_a_task_reads_and_changes_it(store: Store, task: Any) -> None:
    result = task.using(metadata=NESTED).enqueue({"customer": 8, "new": [1]})
    work_off(store)
    found = result.refresh()
    assert found.return_value == NESTED
    assert found.metadata == {**NESTED, "customer": 8, "new": [1]}


@noting
def test_a_task_that_was_given_none_can_start_it(store: Store, task: Any) -> None:
    result = task.enqueue({"a": 1})
    work_off(store)
    assert (result.refresh().return_value, result.refresh().metadata) == ({}, {"a": 1})


def test_what_has_not_changed_is_not_written(store: Store, saves: list[bytes | None]) -> None:
    note.using(metadata={"a": 1}).enqueue({"a": 1})
    note.enqueue({})
    describe.enqueue()
    add.using(metadata={"a": 1}).enqueue(1)
    work_off(store)
    assert saves == []


@noting
def test_an_attempt_that_fails_keeps_it_for_the_next_one(store: Store, task: Any) -> None:
    noted = {"retry_after": 90, "step": "paid"}
    result = task.enqueue(noted, "fail")
    work_off(store)
    assert result.refresh().metadata == noted
    make_due(store)
    (taken,) = store.storage.claim(registered(store.storage), ALL, 1)
    assert TaskResult.from_job(taken).metadata == noted


def test_the_next_attempt_finds_it_as_the_last_one_left_it(store: Store) -> None:
    result = count.using(metadata={"counted": 10}).enqueue(until=13)
    work_off(store)
    found = result.refresh()
    assert (found.return_value, found.attempts) == ([1, 2, 3], 3)
    assert found.metadata == {"counted": 13}


def test_a_task_that_exits_keeps_it(store: Store) -> None:
    result = note.using(max_attempts=1).enqueue({"a": 1}, "exit")
    work_off(store)
    assert result.refresh().metadata == {"a": 1}


def test_a_backoff_sees_what_this_attempt_noted_down(store: Store) -> None:
    result = note.enqueue({"retry_after": 90}, "fail")
    work_off(store)
    (error,) = result.refresh().errors
    due = clock.to_datetime(stored(store.storage, result.id).available_at)
    assert due == error.finished_at + timedelta(seconds=90)


@pytest.mark.parametrize("task", [save, save_soon], ids=["sync", "async"])
def test_it_can_be_saved_in_the_middle(store: Store, task: Any) -> None:
    result = task.using(metadata={"a": 1}).enqueue()
    work_off(store)
    found = result.refresh()
    assert found.return_value == [{"a": 1, "step": 1}] * 2
    assert found.metadata == {"a": 1, "step": 2}


def test_what_was_saved_in_the_middle_outlives_a_crash(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    result = note.using(metadata={"a": 1}).enqueue({})
    (taken,) = storage.claim(worker, ALL, 1)
    assert storage.save_metadata(taken, b'{"step":1}')
    storage.rescue(clock.now(), [died(worker, [taken])])
    work_off(store)
    assert result.refresh().return_value == {"step": 1}


def test_what_is_refused_in_the_middle_is_told_to_the_task(store: Store) -> None:
    result = save_what_is_refused.using(metadata={"b": 1}).enqueue()
    work_off(store)
    found = result.refresh()
    not_json, reserved, progress = found.return_value
    assert "is a set, which is not JSON" in not_json
    assert "'_a' is reserved" in reserved
    assert "'_progress' is reserved" in progress
    assert found.metadata == {"b": 1}


@noting
@pytest.mark.parametrize("bad", [{"_a": 1}, {"a": "x" * 100}], ids=["reserved", "too long"])
def test_what_is_refused_at_the_end_fails_the_task(
    stores: Stores, kind: Kind, tmp_path: Path, task: Any, bad: dict[str, Any]
) -> None:
    before = {"b": "y" * 100}
    with stores.open(kind, tmp_path, MAX_PAYLOAD=200) as store:
        result = task.using(max_attempts=1, metadata=before).enqueue(bad)
        work_off(store)
        found = result.refresh()
        assert found.status == TaskResultStatus.FAILED
        (error,) = found.errors
        assert error.exception_class is ValueError
        assert "The metadata" in error.traceback
        assert found.metadata == before


@noting
def test_what_is_refused_at_the_end_does_not_hide_what_was_raised(
    store: Store, task: Any, caplog: pytest.LogCaptureFixture
) -> None:
    result = task.using(max_attempts=1).enqueue({"_a": 1}, "fail")
    work_off(store)
    found = result.refresh()
    (error,) = found.errors
    assert "noted, and failed" in error.traceback
    assert found.metadata == {}
    (record,) = [one for one in caplog.records if one.name == "mainspring"]
    assert (record.levelname, record.task_id) == ("WARNING", result.id)  # type: ignore[attr-defined]
    assert "is not saved: The metadata key '_a' is reserved" in record.getMessage()


@noting
@pytest.mark.parametrize(("then", "end"), [("", State.SUCCESSFUL), ("fail", State.FAILED)])
def test_a_store_that_is_away_at_the_end_costs_the_metadata_and_no_outcome(
    store: Store,
    task: Any,
    then: str,
    end: State,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def save_metadata(job: Any, metadata: bytes | None) -> bool:
        raise StoreUnavailable("down")

    result = task.using(max_attempts=1).enqueue({"a": 1}, then)
    worker = InlineWorker(store)
    (taken,) = store.storage.claim(registered(store.storage), ALL, 1)
    with monkeypatch.context() as patch:
        patch.setattr(store.storage, "save_metadata", save_metadata)
        outcome = worker.execute(taken)
    assert outcome.state == end
    assert store.storage.settle(worker.identity, [outcome]) == []
    assert result.refresh().metadata == {}
    assert "is not saved: down" in caplog.text


# Progress


@pytest.mark.parametrize("task", [report, report_soon], ids=["sync", "async"])
def test_progress_is_said_often_and_written_seldom(
    store: Store, saves: list[bytes | None], task: Any
) -> None:
    result = task.using(metadata={"a": 1}).enqueue(10_000)
    work_off(store)
    found = result.refresh()
    assert found.progress == Progress(10_000, 10_000, "writing")
    assert found.progress.fraction == 1
    assert found.metadata == {"a": 1}
    assert len(saves) == 1


def test_progress_shows_while_the_task_runs(store: Store, saves: list[bytes | None]) -> None:
    result = report.using(metadata={"a": 1}).enqueue(10_000)
    worker = InlineWorker(store)
    seen = []

    def look() -> None:
        worker.recaller.step(clock.now())
        seen.append(result.refresh().progress)
        worker.recaller.step(clock.now())  # nothing was said since

    interludes.append(look)
    worker.work_off()
    assert seen == [Progress(5_000, 10_000, "writing")]
    assert result.refresh().progress == Progress(10_000, 10_000, "writing")
    assert len(saves) == 2


def test_nobody_looks_after_the_progress_of_what_has_ended(store: Store) -> None:
    report.enqueue(10)
    note.using(max_attempts=1).enqueue({}, "fail")
    worker = InlineWorker(store)
    worker.work_off()
    assert worker.executor.notes.by_job == {}


# The verb


def test_metadata_is_saved_where_the_claim_holds(storage: Any) -> None:
    worker = registered(storage)
    one, other = claimed(storage, worker, 0, 1, metadata=b'{"a":1}')
    assert storage.save_metadata(one, b'{"a":2}')
    assert storage.save_metadata(one, b'{"a":2}')  # the same once more
    assert stored(storage, one.id) == one._replace(metadata=b'{"a":2}')
    assert stored(storage, other.id) == other
    assert storage.save_metadata(one, None)
    assert stored(storage, one.id) == one._replace(metadata=None)


def test_saving_leaves_the_claim_alone(storage: Any) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    storage.save_metadata(taken, b'{"a":1}')
    assert storage.claims_held([taken]) == {taken.id}
    assert storage.settle(worker, [succeeded(taken, worker)]) == []
    found = stored(storage, taken.id)
    assert (found.state, found.metadata) == (State.SUCCESSFUL, b'{"a":1}')


def test_where_the_claim_is_gone_nothing_is_saved(storage: Any) -> None:
    worker = registered(storage)
    released, cancelled, retried, rescued = taken = claimed(storage, worker, *range(4))
    done = finish(storage, worker, 10, finished_at=20)
    storage.release(worker, [released])
    storage.cancel([cancelled.id])
    storage.settle(worker, [failed(retried, worker, retry_after=9)])
    storage.rescue(START, [died(worker, [rescued])])
    for one in (*taken, done):
        assert not storage.save_metadata(one, b'{"late":1}')
        assert stored(storage, one.id).metadata is None


def test_what_was_never_claimed_or_does_not_exist_is_not_saved(storage: Any) -> None:
    worker = registered(storage)
    (new,) = enqueued(storage, 0)
    ghost = job()._replace(claim=worker.first_claim)
    assert not storage.save_metadata(new, b'{"a":1}')
    assert not storage.save_metadata(ghost, b'{"a":1}')
    assert stored(storage, new.id).metadata is None


def test_any_json_is_saved_to_the_byte(storage: Any) -> None:
    worker = registered(storage)
    (taken,) = claimed(storage, worker, 0)
    for metadata in (b'{"a":"\xc3\xa4\\u0000\'%s"}', b'{"a":[1.0,10000000000000000000000]}', b"{}"):
        assert storage.save_metadata(taken, metadata)
        assert stored(storage, taken.id).metadata == metadata


# Signals


def test_the_signals_show_what_was_noted_down(
    store: Store, heard: list[tuple[str, TaskResult[Any]]], retries: list[Any]
) -> None:
    result = note.using(metadata={"a": 1}).enqueue({"b": 2})
    work_off(store)
    assert [told.metadata for _, told in heard] == [{"a": 1}, {"a": 1}, {"a": 1, "b": 2}]
    assert tuple(heard[-1][1]) == tuple(result.refresh())
    note.enqueue({"retry_after": 5}, "fail")
    work_off(store)
    (told,) = retries
    assert told.task_result.metadata == {"retry_after": 5}


@pytest.fixture
def retries() -> Iterator[list[Any]]:
    """The details of ``task_retried``."""
    told: list[Any] = []

    def receive(details: Any, **_: Any) -> None:
        told.append(details)

    task_retried.connect(receive)
    yield told
    task_retried.disconnect(receive)


def test_a_log_of_metadata_that_is_saved_is_quiet(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        note.enqueue({"a": 1})
        work_off(store)
    assert caplog.records == []
