"""Maps of unique tasks: what an equal call stands for is in the map, and is not run."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.tasks import TaskResultStatus
from django.test import override_settings

from mainspring import MapResult, TaskResult, task
from mainspring.backends import mapping
from mainspring.core.limits import Limit
from tests.contract.map_hands import Hands
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_processes
from tests.contract.tasks import add, once

READY, SUCCESSFUL, FAILED = (
    TaskResultStatus.READY,
    TaskResultStatus.SUCCESSFUL,
    TaskResultStatus.FAILED,
)


@task(unique="number {0}", concurrency=Limit(1))
def limited_once(number: int) -> int:
    """Be pending once for a number, and run one at a time."""
    return number


@task(unique=lambda number: None if number < 0 else str(number))
def once_if_positive(number: int) -> int:
    """Be pending once for a number that is not negative."""
    return number


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    # The contract's jobs wait for the test to claim them.
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)


@pytest.fixture
def hands(store: Store) -> Hands:
    """What runs the rows."""
    return Hands(store)


def stood_for(handle: MapResult[Any]) -> dict[int, str]:
    """Return, by the number of the call, which calls stand for those that are not run."""
    found = {}
    for result in handle.errors():
        (error,) = result.errors
        assert error.exception_class_path == "mainspring.exceptions.DuplicateCall"
        found[int(result.id.partition(":")[2])] = error.traceback.split("call ")[1].split()[0]
    return found


def test_of_equal_items_the_first_one_is_run(store: Store, hands: Hands) -> None:
    handle = once.map([1, 2, 1, 3, 2])
    assert [handle[i].status for i in range(5)] == [READY, READY, FAILED, READY, FAILED]
    assert stood_for(handle) == {2: f"{handle.id}:0", 4: f"{handle.id}:1"}
    assert handle.progress[:4] == (5, 5, 2, 2)
    hands.run_all()
    assert handle.wait(timeout=5).progress == (5, 5, 5, 2, 0, True)
    assert list(handle.values(skip_failed=True)) == [1, 2, 3]


def test_what_was_enqueued_before_stands_for_a_call_of_a_map(store: Store) -> None:
    before = once.enqueue(2)
    handle = once.map([1, 2, 3])
    assert stood_for(handle) == {1: before.id}
    assert store.storage.stats().ready == {"default": 3}


def test_a_call_of_a_map_stands_for_what_is_enqueued_later(store: Store) -> None:
    handle = once.map([1, 2])
    again = once.enqueue(2)
    assert again == handle[1]
    assert [result.id for result in once.enqueue_many([(1,), (3,)])][:1] == [f"{handle.id}:0"]
    assert stood_for(once.map([2])) == {0: f"{handle.id}:1"}


def test_what_has_started_stands_for_none(store: Store, hands: Hands) -> None:
    once.map([1, 2])
    hands.run_all()
    handle = once.map([1, 2])
    assert list(handle.errors()) == []
    assert store.storage.stats().ready == {"default": 2}


def test_a_map_of_which_no_call_is_new_is_at_its_end(store: Store) -> None:
    once.enqueue(1)
    handle = once.map([1, 1])
    assert handle.is_finished
    assert handle.progress == (2, 2, 2, 2, 0, True)


def test_calls_that_are_not_unique_are_all_run(store: Store) -> None:
    assert list(once_if_positive.map([-1, 1, -1]).errors()) == []
    assert store.storage.stats().ready == {"default": 3}


def test_lists_of_arguments(store: Store) -> None:
    handle = once.starmap([(1, 2), (1, 3), (1, 2)])
    assert stood_for(handle) == {2: f"{handle.id}:0"}


def test_more_calls_than_are_stored_together(store: Store) -> None:
    handle = once.map(number % 30 for number in range(100))
    assert stood_for(handle) == {number: f"{handle.id}:{number % 30}" for number in range(30, 100)}


def test_what_is_not_run_waits_for_no_limit(store: Store) -> None:
    handle = limited_once.map([1, 2, 1, 2])
    assert stood_for(handle) == {2: f"{handle.id}:0", 3: f"{handle.id}:1"}
    assert store.storage.stats().held == 2


def test_a_reduced_value_may_leave_out_what_is_not_run(store: Store, hands: Hands) -> None:
    handle = once.map([1, 2, 1], reduce=add, on_error="skip")
    hands.run_all()
    assert handle.wait(timeout=5).result.return_value == 3


def test_from_async_code(store: Store) -> None:
    async def items() -> AsyncIterator[int]:
        for item in (1, 2, 1):
            yield item

    assert len(stood_for(async_to_sync(once.amap)(items()))) == 1


def test_only_what_is_run_is_told(store: Store, heard: list[tuple[str, TaskResult[Any]]]) -> None:
    handle = once.map([1, 1, 2])
    told = [(name, result.id) for name, result in heard]
    assert told == [("enqueued", f"{handle.id}:0"), ("enqueued", f"{handle.id}:2")]


def test_a_text_that_cannot_be_made_names_the_item(store: Store) -> None:
    def items() -> Iterator[Any]:
        yield 1
        yield None

    with pytest.raises(TypeError, match="not supported") as raised:
        once_if_positive.map(items())
    assert raised.value.__notes__[0] == "In item 1 (counted from 0) of the map."


@on_databases
def test_a_map_that_is_rolled_back_stands_for_nothing(store: Store) -> None:
    with transaction.atomic(STORE):
        once.map([1, 2])
        transaction.set_rollback(True, using=STORE)
    assert list(once.map([1, 2]).errors()) == []


@with_processes
def test_maps_that_are_stored_at_once_share_the_calls(store: Store) -> None:
    """In two threads, each with a connection of its own."""
    futures = [store.in_thread(lambda: once.map(range(200))) for _ in range(2)]
    maps = [future.result(30) for future in futures]
    assert sum(len(stood_for(handle)) for handle in maps) == 200
    assert store.storage.stats().ready == {"default": 200}


@override_settings(TASKS={"default": {"BACKEND": "mainspring.backends.immediate.ImmediateBackend"}})
def test_at_once_none_is_pending() -> None:
    assert list(once.map([1, 1]).values()) == [1, 1]
