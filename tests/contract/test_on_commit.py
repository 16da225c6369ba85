"""enqueue_on_commit: enqueued when a transaction commits, on whichever database that is."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.test import override_settings
from django.utils.connection import ConnectionDoesNotExist

from mainspring import TaskResult
from mainspring.backends import memory
from mainspring.exceptions import StoreUnavailable
from tests.contract.router import STORE
from tests.contract.stores import ONE_ORDER, Store, on_databases, on_kinds
from tests.contract.tasks import add, echo, once

on_memory = on_kinds([kind for kind in ONE_ORDER if kind.database is None])


def is_stored(result: TaskResult[Any]) -> bool:
    try:
        return result.refresh() == result
    except TaskResultDoesNotExist:
        return False


def test_a_call_is_enqueued_at_the_commit(
    store: Store, heard: list[tuple[str, TaskResult[Any]]]
) -> None:
    with transaction.atomic():
        result = add.enqueue_on_commit(1, b=2)
        assert not is_stored(result)
        assert heard == []
        assert (result.status, result.args, result.kwargs) == (
            TaskResultStatus.READY,
            [1],
            {"b": 2},
        )
    assert is_stored(result)
    assert heard == [("enqueued", result)]


def test_a_rollback_leaves_nothing(store: Store, heard: list[tuple[str, TaskResult[Any]]]) -> None:
    with transaction.atomic():
        outer = add.enqueue_on_commit(1)
        with transaction.atomic():
            add.enqueue_on_commit(2)
            transaction.set_rollback(True)
    assert heard == [("enqueued", outer)]
    assert dict(store.storage.stats().ready) == {"default": 1}


def test_without_a_transaction_it_is_enqueued_at_once(store: Store) -> None:
    assert is_stored(add.enqueue_on_commit(1))
    assert is_stored(add.using(priority=5).enqueue_on_commit(1))


@on_databases
def test_the_database_is_the_callers_choice(store: Store) -> None:
    with transaction.atomic(STORE):
        at_once = add.enqueue_on_commit(1)
        later = add.enqueue_on_commit(2, using=STORE)
        assert is_stored(at_once)
        assert not is_stored(later)
    assert is_stored(later)


def test_a_database_that_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(ConnectionDoesNotExist, match="nowhere"):
        add.enqueue_on_commit(1, using="nowhere")


def test_what_is_wrong_with_the_call_is_told_at_once(store: Store) -> None:
    with transaction.atomic():
        with pytest.raises(TypeError, match="Argument 1"):
            add.enqueue_on_commit(object())  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="user_id"):
            echo.using(unique="{user_id}").enqueue_on_commit(1)
    assert dict(store.storage.stats().ready) == {}


def test_the_arguments_are_those_of_the_call(store: Store) -> None:
    given = [1]
    with transaction.atomic():
        result = echo.enqueue_on_commit(given)
        given.append(2)
    assert result.refresh().args == [[1]]


def test_what_storing_raises_reaches_who_commits(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(jobs: Any) -> None:
        raise StoreUnavailable("is full")

    monkeypatch.setattr(store.storage, "enqueue", refuse)
    block = transaction.atomic()
    block.__enter__()
    add.enqueue_on_commit(1)
    with pytest.raises(StoreUnavailable, match="is full"):
        block.__exit__(None, None, None)
    assert not connection.in_atomic_block


def test_a_unique_call_is_looked_for_at_the_commit(
    store: Store, heard: list[tuple[str, TaskResult[Any]]]
) -> None:
    with transaction.atomic():
        result = once.enqueue_on_commit(1)
        pending = once.enqueue(1)
    assert pending.id != result.id
    assert not is_stored(result)
    assert heard == [("enqueued", pending)]


def test_without_a_transaction_an_equal_pending_call_is_returned(store: Store) -> None:
    first = once.enqueue_on_commit(1)
    assert once.enqueue_on_commit(1) == first


@on_memory
def test_however_a_call_comes_the_threads_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(memory, "start_embedded_worker", started.append)
    with transaction.atomic():
        add.enqueue_on_commit(1)
        assert started == []
    assert len(started) == 1
    add.enqueue(1)
    add.enqueue_many([(1,)])
    once.enqueue_many([(1,)])
    assert started == ["default"] * 4


@pytest.fixture
def immediate(stores: Any) -> Iterator[None]:
    """Tasks go to ImmediateBackend; databases may be used."""
    entry = {"BACKEND": "mainspring.backends.immediate.ImmediateBackend", "QUEUES": []}
    with override_settings(TASKS={"default": entry}):
        yield
    connections["default"].close()


def test_immediate_runs_the_task_at_the_commit(
    immediate: None, heard: list[tuple[str, TaskResult[Any]]]
) -> None:
    with transaction.atomic():
        result = add.enqueue_on_commit(1, 2)
        assert (result.status, heard) == (TaskResultStatus.READY, [])
    assert [name for name, _ in heard] == ["enqueued", "started", "finished"]
    assert {one.id for _, one in heard} == {result.id}
    assert heard[-1][1].return_value == 3


def test_immediate_runs_the_task_at_once_without_a_transaction(immediate: None) -> None:
    assert add.enqueue_on_commit(1, 2).return_value == 3
    assert once.enqueue(1).id != once.enqueue(1).id  # nothing is ever pending
