"""Maps: several processes at once, the caller's transaction, and large rows."""

from contextlib import ExitStack
from threading import Barrier

import pytest
from django.db import connections, transaction

from mainspring.backends.storage import Storage
from mainspring.core import codec, outcomes
from mainspring.core.chunks import MapRecord, first_of, is_merge, row_id
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from mainspring.exceptions import StoreUnavailable
from tests.contract.contender import Contender
from tests.contract.jobs import ALL, START, failed, ids, registered, stored
from tests.contract.maps import (
    MERGE,
    claimed_rows,
    counts,
    division,
    found,
    grown,
    mapped,
    merges,
    opened,
    returned,
    row,
    settle_all,
    split,
)
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_processes, with_threads

NOW = START + 10 * SECOND
FOLLOW_UP = b'["tests.contract.tasks.add","mail",5]'
MEGABYTE = 2**20


# Several at once


@with_threads
def test_of_two_that_finish_a_map_at_once_one_does_each_step(store: Store) -> None:
    storage = store.storage
    worker = registered(storage)
    processes = (store.another_process(), store.another_process())
    for _ in range(5):
        record, _ = mapped(storage, *[1] * 40, merge=MERGE, follow_up=FOLLOW_UP)
        settle_all(storage, worker)
        while found(storage, record).finished_at is None:
            barrier = Barrier(2)

            def finish(one: Storage, record: MapRecord, barrier: Barrier) -> bool:
                barrier.wait(10)
                return one.finish_map(record.id, NOW)

            futures = [
                store.in_thread(lambda one=one, r=record, b=barrier: finish(one, r, b))  # type: ignore[misc]
                for one in processes
            ]
            assert len({future.result(30) for future in futures}) <= 2
            taken = storage.claim(worker, ["default"], 100)
            storage.settle(worker, [returned(one, worker) for one in taken])
        assert len(merges(storage, record)) == 3
        assert len(storage.claim(worker, ["mail"], 10)) == 1


@with_processes
def test_processes_run_divide_and_end_a_map_together(store: Store) -> None:
    """Each call is in one row, each value in one merge, and what follows comes once."""
    storage = store.storage
    record = opened(storage, merge=MERGE, follow_up=FOLLOW_UP)
    with ExitStack() as stack:
        processes = [Contender(store, "work_on_maps", seed) for seed in range(3)]
        for one in processes:
            stack.enter_context(one)
        for one in processes:
            one.tell("go")
        for first in range(0, 1600, 20):  # they begin before all is there
            storage.add_rows(record.id, [row(record, first, 20)], first + 20)
        storage.close_map(record.id)
        for one in processes:
            one.tell_no_more()
        answers = [one.answer() for one in processes]
    assert [refused for refused, _ in answers] == [0] * 3
    assert len([job_id for _, others in answers for job_id in others]) == 1
    assert counts(storage, record) == {State.SUCCESSFUL: 1600}
    rows = storage.read_rows(record.id, 0, 10_000)
    assert [call for one in rows for call in codec.decode(one.arguments)] == list(range(1600))
    ended, last = found(storage, record), merges(storage, record)
    assert ended.finished_at is not None
    assert ended.result_id == last[-1]
    merged = [
        job_id
        for merge in last
        for job_id in codec.decode_call(stored(storage, merge).arguments)[0]
    ]
    assert merged == [*ids(rows), *last[:-1]]


@with_processes
def test_rows_are_divided_while_others_count_and_cancel(store: Store) -> None:
    """Every call is in one row at any moment, and what is divided was not cancelled before."""
    storage, other = store.storage, store.another_process()
    worker = registered(storage)
    record, rows = mapped(storage, *[10] * 30)
    taken = claimed_rows(storage, worker)

    def divide() -> int:
        number = 0
        for one in taken:
            first = first_of(one.id)
            parts = split(one, first + 3, first + 7, end=first + 10)
            settled = [returned(parts[0], worker), outcomes.untouched(parts[1])]
            number += other.divide(worker, one, division(one, parts, settled))
        return number

    dividing = store.in_thread(divide)
    cancelled = 0
    for one in reversed(rows):
        cancelled += len(storage.cancel([one.id]))
        assert sum(storage.count_calls(record.id).values()) == 300
    divided = dividing.result(60)
    assert cancelled == 30
    now = counts(storage, record)
    assert now == {
        state: number
        for state, number in {
            State.CANCELLED: 300 - 7 * divided,
            State.SUCCESSFUL: 4 * divided,
            State.READY: 3 * divided,
        }.items()
        if number
    }


@with_processes
def test_a_map_is_retried_while_others_bring_it_to_its_end(store: Store) -> None:
    storage, other = store.storage, store.another_process()
    worker = registered(storage)
    record, _ = mapped(storage, *[1] * 3, merge=MERGE, on_error="skip")
    for _ in range(10):
        taken = claimed_rows(storage, worker)
        rows = [one for one in taken if not is_merge(one.id)]
        settled = [failed(rows[0], worker), *(returned(one, worker) for one in rows[1:])]
        storage.settle(worker, settled)
        finishing = store.in_thread(lambda: other.finish_map(record.id, NOW))
        assert storage.retry_failed(record.id, NOW) == 1
        assert not finishing.result(30) or len(rows) == 1  # with no value at all, it has failed
        assert merges(storage, record) == []
        assert found(storage, record).level == 0


# In the caller's transaction


class _RollBackError(Exception):
    pass


@on_databases
def test_a_map_is_rolled_back_with_the_callers_transaction(store: Store) -> None:
    storage = store.storage
    record = opened(storage)
    grown(storage, record, 2)

    def change() -> MapRecord:
        with transaction.atomic(STORE):
            nonlocal new
            new = opened(storage)
            grown(storage, new, 1, 2)
            storage.add_rows(record.id, [row(record, 2, 3), row(record, 5, 1)], 6)
            storage.close_map(record.id)
            assert found(storage, record).is_closed is True
            assert counts(storage, record) == {State.READY: 6}
            raise _RollBackError

    new = record
    with pytest.raises(_RollBackError):
        change()
    assert storage.find_map(new.id) is None
    assert storage.read_rows(new.id, 0, 10) == []
    assert found(storage, record) == record._replace(stored=2)
    assert counts(storage, record) == {State.READY: 2}


@on_databases
def test_a_map_is_gone_on_with_when_the_caller_commits(store: Store) -> None:
    storage = store.storage
    with transaction.atomic(STORE):
        record, _ = mapped(storage, follow_up=FOLLOW_UP)
        assert found(storage, record).finished_at is None
    assert found(storage, record).finished_at is not None
    assert len(storage.claim(registered(storage), ALL, 10)) == 1


@on_databases
def test_retrying_is_rolled_back_with_the_callers_transaction(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    record, _ = mapped(storage, 2, merge=MERGE)
    (taken,) = claimed_rows(storage, worker)
    storage.settle(worker, [failed(taken, worker)])
    assert storage.finish_map(record.id, NOW)
    before = found(storage, record)

    def retry() -> None:
        with transaction.atomic(STORE):
            assert storage.retry_failed(record.id, NOW) == 1
            assert found(storage, record).finished_at is None
            raise _RollBackError

    with pytest.raises(_RollBackError):
        retry()
    assert found(storage, record) == before
    assert counts(storage, record) == {State.FAILED: 2}
    assert len(merges(storage, record)) == 1


@on_databases
def test_closing_a_map_does_not_fail_where_it_cannot_go_on_yet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(map_id: str, now: int) -> bool:
        raise StoreUnavailable("for now")

    storage = store.storage
    with monkeypatch.context() as patch:
        patch.setattr(storage, "finish_map", fail)
        record, _ = mapped(storage)
    assert storage.unfinished_maps() == [record.id]
    assert storage.finish_map(record.id, NOW)


# Large rows


def test_large_rows_are_stored_and_divided(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    record = opened(storage)
    large = codec.encode(["'\\\x00é" * MEGABYTE, "x"])  # 10 MB as JSON
    small = codec.encode(["y" * 1000])
    rows = [row(record, 0, 2, arguments=large), row(record, 2, 1, arguments=small)]
    storage.add_rows(record.id, rows, 3)
    first, second = claimed_rows(storage, worker)
    assert (first.arguments, second.arguments) == (large, small)
    assert storage.cancel([second.id])
    (part,) = split(first, 1, end=2)
    part = part._replace(arguments=codec.encode(["z" * 9 * MEGABYTE]))
    kept = division(first, [part], [outcomes.untouched(part)])._replace(arguments=large)
    assert storage.divide(worker, first, kept)
    assert storage.divide(worker, first, kept)
    assert stored(storage, first.id).arguments == large
    assert stored(storage, row_id(record.id, 1)).arguments == part.arguments
    (again,) = claimed_rows(storage, worker)
    assert again.arguments == part.arguments
    assert counts(storage, record) == {State.RUNNING: 2, State.CANCELLED: 1}


@on_databases
def test_on_postgresql_rows_are_compressed_quickly_where_it_can(store: Store) -> None:
    if not store.kind.name.startswith("postgresql"):
        pytest.skip("only PostgreSQL has several ways to compress")
    with connections[STORE].cursor() as cursor:
        cursor.execute(
            "SELECT 'lz4' = ANY (enumvals) FROM pg_settings"
            " WHERE name = 'default_toast_compression'"
        )
        (can,) = cursor.fetchone()
        cursor.execute(
            "SELECT attname, attcompression FROM pg_attribute WHERE attrelid IN"
            " ('mainspring_job_live'::regclass, 'mainspring_job_finished'::regclass)"
            " AND attname IN ('arguments', 'return_value')"
        )
        columns = cursor.fetchall()
    assert len(columns) == 4
    assert {compression for _, compression in columns} == {"l" if can else ""}
