"""Maps: storing rows, looking at them and dividing them."""

import pytest

from mainspring.backends.storage import Stats, Storage
from mainspring.core import codec, outcomes
from mainspring.core.chunks import row_id
from mainspring.core.ids import new_id
from mainspring.core.jobs import State, Worker
from mainspring.core.limits import group_of
from tests.contract.jobs import (
    DAY,
    START,
    died,
    failed,
    ids,
    registered,
    rescue_silent,
    state_of,
    stored,
)
from tests.contract.limits import admit, slots
from tests.contract.maps import (
    claimed_rows,
    counts,
    division,
    found,
    grown,
    items,
    mapped,
    opened,
    returned,
    row,
    split,
)
from tests.contract.stores import Store

READY, RUNNING, SUCCESSFUL = State.READY, State.RUNNING, State.SUCCESSFUL


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


# Storing


def test_the_record_of_a_map_is_found_as_it_was_stored(storage: Storage) -> None:
    record = opened(storage, merge="a.b", on_error="skip", follow_up=b'["c.d","mail",5]')
    other = opened(storage)
    assert storage.find_map(record.id) == record
    assert storage.find_map(other.id) == other
    assert found(storage, record).is_closed is False


@pytest.mark.parametrize("map_id", ["", "no such id", "é" * 32, "\x00" * 32, "a" * 33, "a" * 31])
def test_there_is_no_map_of_another_id(storage: Storage, map_id: str) -> None:
    record = opened(storage)
    assert storage.find_map(map_id) is None
    assert storage.find_map(record.id[:-1] + " ") is None
    assert storage.find_map(new_id(START)) is None


def test_another_alias_does_not_see_a_map(store: Store) -> None:
    record = opened(store.storage)
    grown(store.storage, record, 3)
    other = store.other_alias
    assert other.find_map(record.id) is None
    assert other.count_calls(record.id) == {}
    assert other.read_rows(record.id, 0, 10) == []
    assert other.rows_in(record.id, list(State), 10) == []
    assert other.unfinished_maps() == []
    other.close_map(record.id)
    assert not other.finish_map(record.id, START)
    assert other.retry_failed(record.id, START) == 0
    assert found(store.storage, record).is_closed is False


def test_rows_are_added_and_counted(storage: Storage) -> None:
    record = opened(storage)
    assert storage.count_calls(record.id) == {}
    grown(storage, record, 4, 3)
    assert counts(storage, record) == {READY: 7}
    storage.add_rows(record.id, [row(record, 7, 5)], 12)
    assert counts(storage, record) == {READY: 12}
    assert found(storage, record) == record._replace(stored=12)


def test_rows_are_jobs_that_are_claimed(storage: Storage, worker: Worker) -> None:
    record = opened(storage)
    rows = grown(storage, record, 4, 3, 1)
    assert storage.get_results(ids(rows[:1])) == rows[:1]
    taken = claimed_rows(storage, worker)
    assert [one._replace(state=READY, claim=None) for one in taken] == rows
    storage.settle(worker, [returned(taken[0], worker), failed(taken[2], worker)])
    assert counts(storage, record) == {SUCCESSFUL: 4, RUNNING: 3, State.FAILED: 1}


def test_a_map_takes_no_more_rows_when_it_is_closed(storage: Storage) -> None:
    record = opened(storage)
    grown(storage, record, 2)
    storage.close_map(record.id)
    storage.close_map(record.id)
    assert found(storage, record) == record._replace(stored=2, is_closed=True)
    with pytest.raises(ValueError, match="takes no more rows"):
        storage.add_rows(record.id, [row(record, 2, 2)], 4)
    assert counts(storage, record) == {READY: 2}


def test_there_are_no_rows_without_a_map(storage: Storage) -> None:
    record = opened(storage)._replace(id=new_id(START + DAY))
    new = row(record, 0, 2)
    with pytest.raises(ValueError, match="takes no more rows"):
        storage.add_rows(record.id, [new], 2)
    assert storage.get_results([new.id]) == []


def test_rows_wake_a_worker(storage: Storage, worker: Worker) -> None:
    record = opened(storage)
    assert claimed_rows(storage, worker) == []
    grown(storage, record, 1)
    assert storage.wait_for_work(5)


def test_rows_may_be_deferred(storage: Storage, worker: Worker) -> None:
    record = opened(storage)
    due = START + DAY
    grown(storage, record, 2, 3, state=State.SCHEDULED, available_at=due, run_after=due)
    assert counts(storage, record) == {State.SCHEDULED: 5}
    assert claimed_rows(storage, worker) == []
    assert storage.stage(due).staged == 2
    assert counts(storage, record) == {READY: 5}


def test_rows_may_wait_for_limits(storage: Storage, worker: Worker) -> None:
    record = opened(storage, kind="calls")
    grown(storage, record, 1, 1, 1, state=State.HELD, limit_group=group_of([slots(2)]))
    assert counts(storage, record) == {State.HELD: 3}
    assert admit(storage) == 2
    assert counts(storage, record) == {State.HELD: 1, READY: 2}
    assert len(claimed_rows(storage, worker)) == 2


# Looking


def test_rows_are_read_in_their_order(storage: Storage) -> None:
    record = opened(storage)
    rows = grown(storage, record, *range(1, 40))
    mapped(storage, 5)
    assert storage.read_rows(record.id, 0, 100) == rows
    assert storage.read_rows(record.id, 0, 3) == rows[:3]


@pytest.mark.parametrize(("start", "first"), [(0, 0), (3, 0), (4, 1), (6, 1), (7, 2), (9, 2)])
def test_rows_are_read_from_the_one_with_a_call_on(
    storage: Storage, worker: Worker, start: int, first: int
) -> None:
    record = opened(storage)
    rows = grown(storage, record, 4, 3, 3)
    taken = claimed_rows(storage, worker)
    storage.settle(worker, [returned(taken[1], worker)])  # in another partition
    assert ids(storage.read_rows(record.id, start, 2)) == ids(rows[first : first + 2])


def test_rows_are_looked_for_by_state(storage: Storage, worker: Worker) -> None:
    record = opened(storage)
    rows = grown(storage, record, 4, 3, 3)
    taken = claimed_rows(storage, worker)
    storage.settle(worker, [returned(taken[1], worker), failed(taken[2], worker)])
    expected = list(zip(ids(rows), [RUNNING, SUCCESSFUL, State.FAILED], strict=True))
    assert storage.rows_in(record.id, list(State), 10) == expected
    assert storage.rows_in(record.id, list(State), 2) == expected[:2]
    assert storage.rows_in(record.id, [SUCCESSFUL], 10) == expected[1:2]
    assert storage.rows_in(record.id, [RUNNING, State.FAILED], 10) == expected[::2]
    assert storage.rows_in(record.id, [], 10) == []


# Dividing


def test_a_row_is_divided(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, 3, 4, 8, end=10)
    settled = [
        returned(taken, worker),
        failed(parts[0], worker, retry_after=DAY),
        returned(parts[1], worker),
        outcomes.untouched(parts[2]),
    ]
    assert storage.divide(worker, taken, division(taken, parts, settled))
    rows = storage.read_rows(record.id, 0, 10)
    assert ids(rows) == [taken.id, *ids(parts)]
    assert [one.arguments for one in rows] == [
        items(0, 3), items(3, 1), items(4, 4), items(8, 2)
    ]  # fmt: skip
    assert [one.state for one in rows] == [SUCCESSFUL, State.SCHEDULED, SUCCESSFUL, READY]
    assert [one.claim for one in rows] == [None] * 4
    assert {one.options for one in rows} == {record.options}
    assert rows[1].errors is not None
    assert counts(storage, record) == {SUCCESSFUL: 7, State.SCHEDULED: 1, READY: 2}
    # The one that waits for its retry is staged, the one that is ready is claimed.
    assert storage.stage(START + 2 * DAY).staged == 1
    assert ids(claimed_rows(storage, worker)) == ids(parts[::2])


def test_a_row_that_is_divided_may_run_on(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, 6, end=10)
    assert storage.divide(worker, taken, division(taken, parts, [outcomes.untouched(parts[0])]))
    assert stored(storage, taken.id) == taken._replace(arguments=items(0, 6))
    assert counts(storage, record) == {RUNNING: 6, READY: 4}
    assert storage.settle(worker, [returned(taken, worker)]) == []
    assert counts(storage, record) == {SUCCESSFUL: 6, READY: 4}


def test_a_part_is_divided_as_well(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, 6, end=10)
    storage.divide(worker, taken, division(taken, parts, [outcomes.untouched(parts[0])]))
    (again,) = claimed_rows(storage, worker)
    assert again.arguments == items(6, 4)
    smaller = split(again, 7, 9, end=10)
    settled = [failed(smaller[0], worker), outcomes.untouched(smaller[1])]
    assert storage.divide(worker, again, division(again, smaller, settled))
    assert counts(storage, record) == {RUNNING: 7, State.FAILED: 2, READY: 1}
    assert stored(storage, taken.id).arguments == items(0, 6)


def test_a_division_wakes_a_worker(storage: Storage, worker: Worker) -> None:
    mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    storage.wait_for_work(0)
    while storage.claim(worker, ["*"], 10):
        pass
    parts = split(taken, 6, end=10)
    storage.divide(worker, taken, division(taken, parts, [outcomes.untouched(parts[0])]))
    assert storage.wait_for_work(5)


@pytest.mark.parametrize("how", ["cancelled", "rescued", "settled", "released"])
def test_a_row_whose_claim_is_gone_is_not_divided(
    storage: Storage, worker: Worker, how: str
) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    if how == "cancelled":
        assert storage.cancel([taken.id]) == [taken.id]
    elif how == "rescued":
        assert len(storage.rescue(START, [died(worker)])) == 1
    elif how == "settled":
        storage.settle(worker, [returned(taken, worker)])
    else:
        storage.release(worker, [taken])
    before = storage.read_rows(record.id, 0, 10)
    parts = split(taken, 6, end=10)
    settled = [returned(taken, worker), outcomes.untouched(parts[0])]
    assert not storage.divide(worker, taken, division(taken, parts, settled))
    assert storage.read_rows(record.id, 0, 10) == before


def test_a_row_that_another_worker_has_now_is_not_divided(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    rescue_silent(storage, START + DAY)
    (again,) = claimed_rows(storage, registered(storage, START + DAY))
    parts = split(taken, 6, end=10)
    assert not storage.divide(worker, taken, division(taken, parts))
    assert storage.read_rows(record.id, 0, 10) == [again]


def test_a_division_that_is_done_again_changes_nothing(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, 6, 8, end=10)
    done = division(taken, parts, [outcomes.untouched(parts[0]), returned(parts[1], worker)])
    assert storage.divide(worker, taken, done)
    before = storage.read_rows(record.id, 0, 10)
    assert storage.divide(worker, taken, done)
    assert storage.read_rows(record.id, 0, 10) == before
    # Also where what it made has gone on since.
    (again,) = claimed_rows(storage, worker)
    assert again.id == parts[0].id
    assert storage.divide(worker, taken, done)
    assert stored(storage, again.id) == again
    storage.settle(worker, [returned(again, worker)])
    assert storage.divide(worker, taken, done)
    assert counts(storage, record) == {RUNNING: 6, SUCCESSFUL: 4}


def test_a_division_that_ended_the_row_is_refused_when_done_again(
    storage: Storage, worker: Worker
) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, 6, end=10)
    done = division(taken, parts, [returned(taken, worker), outcomes.untouched(parts[0])])
    assert storage.divide(worker, taken, done)
    before = storage.read_rows(record.id, 0, 10)
    assert not storage.divide(worker, taken, done)
    assert storage.read_rows(record.id, 0, 10) == before


def test_parts_that_run_on_under_the_claim_are_settled_later(
    storage: Storage, worker: Worker
) -> None:
    record, _ = mapped(storage, 10)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, 4, 5, end=10)
    assert storage.divide(
        worker, taken, division(taken, parts, [returned(taken, worker), failed(parts[0], worker)])
    )
    assert storage.claims_held([taken, *parts]) == {parts[1].id}
    assert counts(storage, record) == {SUCCESSFUL: 4, State.FAILED: 1, RUNNING: 5}
    assert storage.settle(worker, [returned(parts[1], worker)]) == []
    assert counts(storage, record) == {SUCCESSFUL: 9, State.FAILED: 1}


def test_many_parts_are_stored_at_once(storage: Storage, worker: Worker) -> None:
    record, _ = mapped(storage, 1000)
    (taken,) = claimed_rows(storage, worker)
    parts = split(taken, *range(1, 1000), end=1000)
    assert storage.divide(
        worker, taken, division(taken, parts, [outcomes.untouched(part) for part in parts])
    )
    assert counts(storage, record) == {RUNNING: 1, READY: 999}
    assert storage.stats() == Stats({"default": 999}, 0, 1, taken.available_at, [worker.id], 0, [])


def test_a_row_of_a_map_is_cancelled_like_any_job(storage: Storage) -> None:
    record, rows = mapped(storage, 4, 6)
    assert storage.cancel([row_id(record.id, 4)]) == [rows[1].id]
    assert state_of(storage, rows[1].id) == State.CANCELLED
    assert counts(storage, record) == {READY: 4, State.CANCELLED: 6}
    assert codec.decode(stored(storage, rows[1].id).errors or b"[]") != []
