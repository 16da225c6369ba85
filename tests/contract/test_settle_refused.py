"""Outcomes that a store does not take: each fails with its reason, and the others are stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.core import codec, outcomes
from mainspring.core.errors import errors_in
from mainspring.core.jobs import State, Worker
from mainspring.exceptions import StoreRefused
from mainspring.runtime.board import NoBoard
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.settler import Settler
from mainspring.runtime.telling import Telling
from mainspring.runtime.worker import Worker as RunningWorker
from tests.contract.jobs import (
    ALL,
    claimed,
    enqueued,
    failed,
    ids,
    registered,
    state_of,
    stored,
    succeeded,
)
from tests.contract.jobs import worker as new_worker
from tests.contract.stores import ONE_ORDER, Store, Stores, on_databases, on_kinds
from tests.contract.tasks import repeat

LARGE = 17 * 2**20  # bytes; MariaDB's max_allowed_packet is 16 MiB
on_mariadb = on_kinds([kind for kind in ONE_ORDER if kind.server == "mariadb"])


def settler(store: Store, worker: Worker) -> Settler:
    return Settler(store.storage, worker, Telling(worker.id))


@on_kinds([kind for kind in ONE_ORDER if kind.name.startswith(("sqlite", "postgresql"))])
def test_a_number_that_the_store_cannot_hold(store: Store) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(6))
    more = enqueued(storage, 10)
    settled = [succeeded(one, worker) for one in jobs]
    settled[3] = settled[3]._replace(available_at=2**63)
    with pytest.raises(StoreRefused):
        storage.settle(worker, settled)
    done = settler(store, worker).exchange(settled, ALL, 5, ())
    assert len(done.outcomes) == 6
    assert ids(done.jobs) == ids(more)
    for number, one in enumerate(jobs):
        expected = State.FAILED if number == 3 else State.SUCCESSFUL
        assert state_of(storage, one.id) == expected
    (error,) = errors_in(stored(storage, jobs[3].id).errors or b"")
    assert error.exception_class_path == "mainspring.exceptions.OutcomeRefused"
    assert "database 'store'" in error.traceback


@on_mariadb
@pytest.mark.parametrize("column", ["return_value", "errors"])
def test_more_than_a_statement_may_have(store: Store, column: str) -> None:
    storage, worker = store.storage, registered(store.storage)
    jobs = claimed(storage, worker, *range(6))
    settled = [succeeded(one, worker) for one in jobs]
    large = codec.encode([["builtins.ValueError", "x" * LARGE]])
    settled[2] = settled[2]._replace(**{column: large})
    with pytest.raises(StoreRefused, match="max_allowed_packet"):
        storage.settle(worker, settled)
    assert len(settler(store, worker).exchange(settled, ALL, 5, ()).outcomes) == 6
    assert [state_of(storage, one.id) == State.FAILED for one in jobs].index(True) == 2
    found = errors_in(stored(storage, jobs[2].id).errors or b"")
    assert "max_allowed_packet" in found[-1].traceback


@on_databases
def test_a_history_of_twelve_megabytes_is_settled(store: Store) -> None:
    """As an earlier version has stored it."""
    storage, worker = store.storage, registered(store.storage)
    (taken,) = claimed(storage, worker, 0)
    old = [["builtins.ValueError", "x" * 50_000, 1, 2, "worker"]] * 230
    many = taken._replace(errors=codec.encode(old), worker_ids=codec.encode(["worker"] * 100_000))
    for attempt in range(3):
        assert storage.settle(worker, [failed(many, worker, retry_after=0)]) == []
        (many,) = storage.claim(worker, ALL, 1)
        assert outcomes.failures_of(many) == 231 + attempt
        assert len(many.errors or b"") < 1_000_000


@pytest.fixture
def roomy(stores: Stores, tmp_path: Path) -> Iterator[Store]:
    """A store on MariaDB that takes larger values than the server does."""
    (kind,) = [kind for kind in ONE_ORDER if kind.server == "mariadb"]
    with stores.open(kind, tmp_path, MAX_PAYLOAD=2 * LARGE) as opened:
        yield opened


@pytest.mark.parametrize("is_atomic", [False, True])
def test_a_task_that_returns_too_much_fails_and_is_not_run_for_ever(
    roomy: Store, is_atomic: bool
) -> None:
    one = RunningWorker(roomy.backend, new_worker(), WorkerOptions(processes=1), NoBoard())
    one._register()
    result = repeat.using(atomic=is_atomic).enqueue("x", LARGE)
    for _ in range(5):
        one.exchange(10)
        one._run_inline()
        one.settle()
    job = stored(roomy.storage, result.id)
    assert job.state == State.FAILED
    assert "max_allowed_packet" in errors_in(job.errors or b"")[-1].traceback
    assert not one.is_busy


def test_a_map_whose_row_returns_more_than_a_statement_may_have(
    stores: Stores, tmp_path: Path
) -> None:
    (kind,) = [kind for kind in ONE_ORDER if kind.server == "mariadb"]
    with stores.open(kind, tmp_path) as store:
        one = RunningWorker(store.backend, new_worker(), WorkerOptions(processes=1), NoBoard())
        one._register()
        called = repeat.starmap([("x", 2_000_000)] * 12)
        for _ in range(5):
            one.exchange(10)
            one._run_inline()
            one.settle()
        assert (called.progress.done, called.progress.failed) == (12, 0)
        assert {len(value) for value in called.values()} == {2_000_000}
