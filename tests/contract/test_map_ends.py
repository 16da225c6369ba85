"""Maps: how they come to their end, values merged or not, and how they are retried and pruned."""

from threading import Event

import pytest

from mainspring.backends.memory import MemoryStorage
from mainspring.backends.storage import Pruned, Storage
from mainspring.core import codec
from mainspring.core.chunks import MapRecord, merge_id, spec_of
from mainspring.core.clock import SECOND
from mainspring.core.ids import new_id
from mainspring.core.jobs import State, Worker
from mainspring.core.limits import group_of
from tests.contract.jobs import ALL, DAY, START, failed, finish, ids, job, registered, stored
from tests.contract.limits import admit, slots
from tests.contract.maps import (
    MERGE,
    claimed_rows,
    counts,
    found,
    grown,
    mapped,
    merges,
    opened,
    returned,
    row,
    settle_all,
)
from tests.contract.stores import Store, in_both_orders

READY, SUCCESSFUL, FAILED = State.READY, State.SUCCESSFUL, State.FAILED
FOLLOW_UP = b'["tests.contract.tasks.add","mail",5]'
NOW = START + 10 * SECOND


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


def run_to_the_end(storage: Storage, worker: Worker, record: MapRecord) -> list[int]:
    """Run a map and all of its merges; return how many jobs there were at each step."""
    steps = []
    while not storage.finish_map(record.id, NOW):
        steps.append(settle_all(storage, worker))
        assert steps[-1]
    return steps


# The end


def test_a_map_ends_with_its_last_row(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 2, 3)
    assert storage.unfinished_maps() == [record.id]
    first, second = claimed_rows(storage, worker)
    assert not storage.finish_map(record.id, NOW)
    storage.settle(worker, [returned(first, worker)])
    assert not storage.finish_map(record.id, NOW)
    assert found(storage, record).finished_at is None
    storage.settle(worker, [failed(second, worker)])
    assert storage.finish_map(record.id, NOW)
    assert storage.finish_map(record.id, NOW + 1)
    assert found(storage, record) == record._replace(stored=5, is_closed=True, finished_at=NOW)
    assert storage.unfinished_maps() == []


@pytest.mark.parametrize("state", [State.SCHEDULED, State.HELD])
def test_a_map_does_not_end_while_a_row_waits(
    storage: Storage, worker: Worker, state: State
) -> None:
    group = group_of([slots(1)]) if state == State.HELD else None
    record = opened(storage, kind="calls")
    grown(storage, record, 1, state=state, limit_group=group, available_at=START + DAY)
    storage.close_map(record.id)
    assert not storage.finish_map(record.id, NOW)


def test_an_open_map_does_not_end(storage: Storage, worker: Worker) -> None:
    record = opened(storage)
    grown(storage, record, 2)
    settle_all(storage, worker)
    assert not storage.finish_map(record.id, NOW)
    assert storage.unfinished_maps() == []
    storage.close_map(record.id)
    assert found(storage, record).finished_at is not None


def test_an_unknown_map_does_not_end(storage: Storage) -> None:
    opened(storage)
    assert not storage.finish_map(new_id(START), NOW)
    storage.close_map(new_id(START))
    assert storage.retry_failed(new_id(START), NOW) == 0


def test_a_map_without_rows_ends_when_it_is_closed(storage: Storage) -> None:
    record, _ = mapped(storage)
    assert found(storage, record).finished_at is not None
    assert storage.count_calls(record.id) == {}
    assert storage.read_rows(record.id, 0, 10) == []


def test_what_is_to_follow_is_enqueued_once(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 2, follow_up=FOLLOW_UP)
    settle_all(storage, worker)
    assert storage.claim(worker, ALL, 10) == []
    assert storage.finish_map(record.id, NOW)
    assert storage.wait_for_work(5)
    (following,) = storage.claim(worker, ALL, 10)
    expected = ("tests.contract.tasks.add", "mail", 5, NOW, NOW)
    assert (*following[2:6], following.enqueued_at) == expected
    assert codec.decode_call(following.arguments) == ([record.id], {})
    assert storage.finish_map(record.id, NOW)
    assert storage.claim(worker, ALL, 10) == []


def test_who_waits_for_a_map_is_told_of_its_end(storage: Storage, worker: Worker) -> None:
    if not isinstance(storage, MemoryStorage):
        pytest.skip("only the memory backend waits by itself")
    record, _ = mapped(storage, 2)
    assert not storage.wait_until_map_ended(record.id, 0.01)
    settle_all(storage, worker)
    storage.finish_map(record.id, NOW)
    assert storage.wait_until_map_ended(record.id, 0)
    assert storage.wait_until_map_ended(new_id(START), 0)


def test_who_watches_a_map_is_told_of_its_end(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 2)
    told = Event()
    watch = storage.watch(record.id, told.set)
    if watch is None:
        pytest.skip("this store does not tell callers")
    assert told.wait(10)  # it listens
    told.clear()
    settle_all(storage, worker)
    assert storage.finish_map(record.id, NOW)
    assert told.wait(10)
    watch.forget()


# Merging


@pytest.mark.parametrize(("rows", "steps"), [(1, [1]), (32, [1]), (33, [2, 1]), (1025, [33, 2, 1])])
def test_values_are_merged_level_by_level(
    storage: Storage, worker: Worker, rows: int, steps: list[int]
) -> None:
    record, _ = mapped(storage, *[1] * rows, merge=MERGE, follow_up=FOLLOW_UP)
    assert run_to_the_end(storage, worker, record) == [rows, *steps]
    level = len(steps)
    ended = found(storage, record)
    assert ended[-3:] == (level, merge_id(record.id, level, 0), NOW)
    assert len(merges(storage, record)) == sum(steps)
    assert counts(storage, record) == {SUCCESSFUL: rows}
    (following,) = storage.claim(worker, ALL, 10)
    assert following.queue_name == "mail"


def test_a_merge_is_told_whose_values_it_merges(storage: Storage, worker: Worker) -> None:
    record, rows = mapped(storage, *[2] * 33, merge=MERGE)
    settle_all(storage, worker)
    assert storage.claim(worker, ALL, 10) == []
    assert not storage.finish_map(record.id, NOW)
    assert storage.wait_for_work(5)
    taken = claimed_rows(storage, worker)
    assert ids(taken) == [merge_id(record.id, 1, 0), merge_id(record.id, 1, 1)]
    merged = [job_id for one in taken for job_id in codec.decode_call(one.arguments)[0]]
    assert merged == ids(rows)
    spec = spec_of(taken[0].options)
    assert spec is not None
    assert spec.is_merge
    assert {one.task_path for one in taken} == {MERGE}


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_failed_calls_fail_the_result_or_are_left_out(
    storage: Storage, worker: Worker, on_error: str
) -> None:
    record, rows = mapped(storage, 2, 1, 2, merge=MERGE, on_error=on_error, follow_up=FOLLOW_UP)
    first, bad, last = claimed_rows(storage, worker)
    settled = [returned(first, worker), failed(bad, worker), returned(last, worker)]
    storage.settle(worker, settled)
    if on_error == "skip":
        assert not storage.finish_map(record.id, NOW)
        (merge,) = claimed_rows(storage, worker)
        assert codec.decode_call(merge.arguments)[0] == [rows[0].id, rows[2].id]
        storage.settle(worker, [returned(merge, worker)])
    assert storage.finish_map(record.id, NOW)
    result_id = found(storage, record).result_id
    assert result_id == merge_id(record.id, 1, 0)
    result = stored(storage, result_id)
    assert result.state == (SUCCESSFUL if on_error == "skip" else FAILED)
    assert counts(storage, record) == {SUCCESSFUL: 4, FAILED: 1}
    assert [one.queue_name for one in storage.claim(worker, ALL, 10)] == ["mail"]


def test_the_error_of_a_failed_result_says_why(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, merge=MERGE)
    result = stored(storage, found(storage, record).result_id or "")
    assert result.state == FAILED
    assert result.claim is None
    assert result.finished_at == found(storage, record).finished_at
    ((path, text),) = codec.decode(result.errors or b"")
    assert path == "mainspring.exceptions.MapFailed"
    assert "no value to reduce" in text


def test_a_merge_that_failed_is_the_result(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, *[1] * 33, merge=MERGE, on_error="skip")
    settle_all(storage, worker)
    storage.finish_map(record.id, NOW)
    first, second = claimed_rows(storage, worker)
    storage.settle(worker, [returned(first, worker), failed(second, worker)])
    assert storage.finish_map(record.id, NOW)
    assert found(storage, record).result_id == second.id
    assert stored(storage, second.id).state == FAILED


# Retrying


@in_both_orders
def test_failed_calls_are_retried_after_the_end(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    record, rows = mapped(storage, 2, 1, 3, merge=MERGE)
    good, bad, _ = claimed_rows(storage, worker)
    storage.settle(worker, [returned(good, worker), failed(bad, worker)])
    storage.cancel([rows[2].id])
    assert storage.finish_map(record.id, NOW)
    assert merges(storage, record) == [found(storage, record).result_id]

    assert storage.claim(worker, ALL, 10) == []
    assert storage.retry_failed(record.id, NOW + 7) == 2
    assert storage.wait_for_work(5)
    assert found(storage, record) == record._replace(stored=6, is_closed=True)
    assert counts(storage, record) == {SUCCESSFUL: 2, READY: 4}
    assert merges(storage, record) == []
    assert not storage.finish_map(record.id, NOW)
    again = claimed_rows(storage, worker)
    assert ids(again) == ids(rows[1:])
    assert {(one.available_at, one.finished_at) for one in again} == {(NOW + 7, None)}
    assert [len(codec.decode(one.errors or b"[]")) for one in again] == [1, 1]
    storage.settle(worker, [returned(one, worker) for one in again])
    assert run_to_the_end(storage, worker, record) == [1]
    assert counts(storage, record) == {SUCCESSFUL: 6}
    assert stored(storage, merge_id(record.id, 1, 0)).state == SUCCESSFUL


def test_nothing_changes_where_nothing_has_failed(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 2, 3, merge=MERGE)
    (one, _) = claimed_rows(storage, worker)
    assert storage.retry_failed(record.id, NOW) == 0
    assert storage.claims_held([one]) == {one.id}
    storage.rescue(NOW)
    record, _ = mapped(storage, merge=MERGE)  # a result that has failed is no call
    before = found(storage, record)
    assert storage.retry_failed(record.id, NOW) == 0
    assert found(storage, record) == before
    assert len(merges(storage, record)) == 1


def test_retrying_while_values_are_merged_merges_them_anew(
    storage: Storage, worker: Worker
) -> None:
    record, rows = mapped(storage, 1, 1, merge=MERGE, on_error="skip")
    good, bad = claimed_rows(storage, worker)
    storage.settle(worker, [returned(good, worker), failed(bad, worker)])
    assert not storage.finish_map(record.id, NOW)
    (merge,) = claimed_rows(storage, worker)
    assert storage.retry_failed(record.id, NOW) == 1
    assert storage.settle(worker, [returned(merge, worker)]) == [merge.id]
    assert run_to_the_end(storage, worker, record) == [1, 1]
    result = stored(storage, merge.id)
    assert codec.decode_call(result.arguments)[0] == ids(rows)


def test_what_is_retried_waits_for_its_limits(storage: Storage, worker: Worker) -> None:
    record = opened(storage, kind="calls")
    columns = {"state": State.HELD, "limit_group": group_of([slots(1)])}
    grown(storage, record, 1, 1, **columns)
    admit(storage)
    (taken,) = claimed_rows(storage, worker)
    storage.settle(worker, [failed(taken, worker)])
    assert storage.retry_failed(record.id, NOW) == 1
    assert counts(storage, record) == {State.HELD: 2}
    assert storage.claim(worker, ALL, 10) == []
    assert admit(storage) == 1
    assert len(claimed_rows(storage, worker)) == 1


# Pruning


def test_rows_stay_as_long_as_their_map(storage: Storage, worker: Worker) -> None:
    record, rows = mapped(storage, 2, 3)
    first, second = claimed_rows(storage, worker)
    storage.settle(worker, [returned(first, worker)])
    old = finish(storage, worker, 1, finished_at=SECOND)
    assert storage.prune(START + DAY, 100) == Pruned(1, True)  # not its first row
    assert storage.get_results([old.id]) == []
    assert counts(storage, record)[SUCCESSFUL] == 2
    storage.settle(worker, [returned(second, worker)])
    storage.finish_map(record.id, START + 2 * DAY)
    assert storage.prune(START + DAY, 100) == Pruned(0, True)
    assert counts(storage, record) == {SUCCESSFUL: 5}
    assert storage.prune(START + 2 * DAY + 1, 100) == Pruned(2, True)
    assert storage.find_map(record.id) is None
    assert storage.get_results(ids(rows)) == []


def test_a_map_is_pruned_with_its_merges_in_small_steps(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, *[1] * 33, merge=MERGE)
    kept, _ = mapped(storage, 1)
    assert run_to_the_end(storage, worker, record) == [34, 2, 1]
    deleted = 0
    for _ in range(10):
        step = storage.prune(START + DAY, 7)
        deleted += step.deleted
        if step.is_done:
            break
    assert deleted == 36
    assert storage.find_map(record.id) is None
    assert storage.rows_in(record.id, list(State), 100) == []
    assert storage.find_map(kept.id) is not None
    assert counts(storage, kept) == {SUCCESSFUL: 1}


def test_a_map_without_rows_is_pruned(storage: Storage) -> None:
    record, _ = mapped(storage)
    assert storage.prune(START + DAY, 100) == Pruned(0, True)  # ended now, long after the start
    assert storage.find_map(record.id) is not None
    assert storage.prune(2**60, 100) == Pruned(0, True)
    assert storage.find_map(record.id) is None


def test_a_map_that_nobody_closed_is_pruned_when_nothing_of_it_happens(
    storage: Storage, worker: Worker
) -> None:
    record, empty = opened(storage), opened(storage)
    grown(storage, record, 2, 1)
    assert storage.prune(START + DAY, 100) == Pruned(0, True)
    assert storage.find_map(empty.id) is None
    first, second = claimed_rows(storage, worker)
    storage.settle(worker, [returned(first, worker), returned(second, worker, 2 * DAY)])
    storage.prune(START + DAY, 100)
    assert counts(storage, record) == {SUCCESSFUL: 3}
    storage.add_rows(record.id, [row(record, 3, 1)], 4)
    storage.prune(START + 4 * DAY, 100)
    assert counts(storage, record) == {SUCCESSFUL: 3, READY: 1}
    settle_all(storage, worker)
    assert storage.prune(START + 4 * DAY, 100) == Pruned(3, True)
    assert storage.find_map(record.id) is None
    with pytest.raises(ValueError, match="takes no more rows"):
        storage.add_rows(record.id, [row(record, 4, 1)], 5)


def test_what_is_retried_is_not_pruned(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 1, 1)
    good, bad = claimed_rows(storage, worker)
    storage.settle(worker, [returned(good, worker), failed(bad, worker)])
    storage.finish_map(record.id, NOW)
    storage.retry_failed(record.id, NOW)
    assert storage.prune(START + DAY, 100) == Pruned(0, True)
    assert counts(storage, record) == {SUCCESSFUL: 1, READY: 1}
    assert run_to_the_end(storage, worker, record) == [1]
    assert storage.prune(START + DAY, 100) == Pruned(2, True)


def test_jobs_beside_maps_are_pruned(storage: Storage, worker: Worker) -> None:
    mapped(storage, 1)
    late = job(5)
    storage.enqueue([late])
    settle_all(storage, worker)
    assert storage.prune(START + DAY, 100) == Pruned(1, True)
    assert storage.get_results([late.id]) == []
