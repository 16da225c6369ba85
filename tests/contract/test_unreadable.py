"""Rows that cannot be read: those of newer versions are left to these, damaged ones fail alone."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections
from django.tasks import TaskResultStatus

from mainspring.backends.database.models import LimitUse, StoredJob
from mainspring.backends.storage import Storage
from mainspring.core import chunks, clock, codec, formats
from mainspring.core.chunks import Spec, new_map_id, row_id, with_spec
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.policy import carried_fields
from mainspring.maintenance.rescuer import Rescuer
from mainspring.maintenance.stager import Stager
from tests.contract.jobs import (
    ALL,
    DAY,
    START,
    claimed,
    died,
    enqueued,
    ids,
    job,
    registered,
    state_of,
    stored,
    worker,
)
from tests.contract.router import STORE
from tests.contract.stores import ONE_ORDER, Store, on_databases, on_kinds
from tests.contract.working import work_off

UNREADABLE = "mainspring.exceptions.Unreadable"
MAP = new_map_id(START)
THE_END = formats.ASIDE - 1

NEWER: dict[str, dict[str, Any]] = {
    "a newer format": {"options": b'{"_format":2,"colour":"blue"}'},
    "a format far ahead": {"options": b'{"_format":70}'},
    "a backoff of an unknown kind": {"options": b'{"backoff":{"fibonacci":{"first":1}}}'},
    "a backoff with an unknown field": {"options": b'{"backoff":{"fixed":{"wait":1,"jitter":1}}}'},
    "an unknown field": {"options": b'{"max_attempts":2,"colour":"blue"}'},
    "a map of unknown rows": {"options": codec.encode({"_map": [MAP, "slices"]})},
    "a map with more to say": {
        "options": codec.encode({"_map": [MAP, "items", None, "fail", False, 7]})
    },
    "a limit with more to say": {"limit_group": '[["c:a",1,null,"burst"]]'},
}
DAMAGED: dict[str, dict[str, Any]] = {
    "options that are no JSON": {"options": b'{"max_attempts":'},
    "options that are no text": {"options": b"\xff\xfe\x00"},
    "options of another kind": {"options": b"[1,2]"},
    "a format that is none": {"options": b'{"_format":"two"}'},
    "a timeout that is none": {"options": b'{"timeout":"soon"}'},
    "attempts that are none": {"options": b'{"max_attempts":"many"}'},
    "a backoff that is none": {"options": b'{"backoff":[]}'},
    "a map that is none": {"options": b'{"_map":5}'},
    "options that nest too deep": {"options": b'{"a":' + b"[" * 100_000},
    "limits that are no JSON": {"limit_group": '[["c:a",'},
    "limits that are none": {"limit_group": '[["c:a","one"]]'},
}
DAMAGED_ITEMS: dict[str, Any] = {
    "id": row_id(MAP, 0),
    "options": with_spec(None, Spec(MAP, "items")),
    "arguments": b"[1,2",
}
HISTORIES: dict[str, dict[str, Any]] = {
    "errors": {"errors": b'[["builtins.ValueError'},
    "errors of another kind": {"errors": b"[5]"},
    "workers": {"worker_ids": b"{}["},
    "workers of another kind": {"worker_ids": b"[5]"},
    "metadata": {"metadata": b'{"a":'},
}


def with_options(kinds: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: columns for name, columns in kinds.items() if "options" in columns}


@pytest.fixture
def as_next_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function after which this process reads one format more."""

    def forget() -> None:  # no version changes its mind
        carried_fields.cache_clear()
        chunks._spec_in.cache_clear()

    forget()
    yield lambda: (monkeypatch.setattr(formats, "FORMAT", 2), forget())[1]
    forget()


def rescued_beside(storage: Storage, kinds: dict[str, dict[str, Any]]) -> dict[str, Job]:
    """Rescue such rows and another one of one dead worker, and one of a second; return the odd."""
    first, second = registered(storage), registered(storage)
    (plain,) = claimed(storage, first, 1)
    odd = {
        name: claimed(storage, first, 2 + at, **columns)[0]
        for at, (name, columns) in enumerate(kinds.items())
    }
    (last,) = claimed(storage, second, 100)
    died_at_once = [died(first, [plain, *odd.values()]), died(second, [last])]
    rescued = storage.rescue(START + SECOND, died_at_once)
    assert {one.job_id for one in rescued} == set(ids([plain, last, *odd.values()]))
    for one in (plain, last):
        found = stored(storage, one.id)
        assert (found.state, len(codec.decode(found.errors or b"[]"))) == (State.READY, 1)
    assert storage.rescue(START + SECOND, []) == []
    return odd


def test_of_a_dead_worker_the_rows_of_newer_versions_are_set_aside(storage: Storage) -> None:
    odd = rescued_beside(storage, NEWER)
    for name, before in odd.items():
        found = stored(storage, before.id)
        assert (found.state, formats.is_aside(found.available_at)) == (State.SCHEDULED, True), name
        assert found[10:] == before[10:], name  # from enqueued_at on
    storage.stage(THE_END)
    taken = ids(storage.claim(registered(storage), ALL, 100))
    assert not {before.id for before in odd.values()} & set(taken)


def test_of_a_dead_worker_damaged_rows_fail_and_no_other_ones(store: Store) -> None:
    odd = rescued_beside(store.storage, {**DAMAGED, "items": DAMAGED_ITEMS})
    for name, before in odd.items():
        found = stored(store.storage, before.id)
        ((path, text, *_),) = codec.decode(found.errors or b"[]")
        assert (found.state, path, UNREADABLE in text) == (State.FAILED, UNREADABLE, True), name
        assert store.backend.get_result(before.id).status == TaskResultStatus.FAILED


@on_databases
@pytest.mark.parametrize("columns", HISTORIES.values(), ids=HISTORIES)
def test_a_damaged_history_stops_neither_rescue_nor_run(
    store: Store, columns: dict[str, Any]
) -> None:
    storage, one = store.storage, registered(store.storage)
    (odd,) = claimed(storage, one, 0, arguments=codec.encode(((1, 2), {})))
    StoredJob.objects.using(STORE).filter(pk=odd.id).update(**columns)
    assert [r.state for r in storage.rescue(START, [died(one, [odd])])] == [State.READY]
    StoredJob.objects.using(STORE).filter(pk=odd.id).update(**columns)
    worker_id = work_off(store)
    result = store.backend.get_result(odd.id)
    assert (result.return_value, result.worker_ids[-1]) == (3, worker_id)
    if "errors" in columns:
        assert [error.exception_class_path for error in result.errors] == [UNREADABLE]


# Limits are looked at where jobs are claimed: see tests/unit/test_holdings.py.
def test_a_worker_leaves_the_rows_of_newer_versions_to_others_and_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    odd = [job(at, **columns) for at, columns in enumerate(with_options(NEWER).values())]
    store.storage.enqueue(odd)
    (plain,) = enqueued(store.storage, 1, arguments=codec.encode(((1, 2), {})))
    with caplog.at_level(logging.WARNING, logger="mainspring"):
        work_off(store)
    assert state_of(store.storage, plain.id) == State.SUCCESSFUL
    for one in odd:
        found = stored(store.storage, one.id)
        assert (found.state, found.errors, found.worker_ids) == (State.SCHEDULED, None, None)
        assert formats.is_aside(found.available_at)
        assert f"Task id={one.id} path={one.task_path} is set aside" in caplog.text
        assert store.backend.get_result(one.id).status == TaskResultStatus.READY
    assert store.backend.get_result(odd[0].id).cancel()
    assert state_of(store.storage, odd[0].id) == State.CANCELLED


def test_damaged_rows_fail_and_the_worker_goes_on(store: Store) -> None:
    odd = [job(at, **columns) for at, columns in enumerate(with_options(DAMAGED).values())]
    store.storage.enqueue(odd)
    (plain,) = enqueued(store.storage, 1, arguments=codec.encode(((1, 2), {})))
    work_off(store)
    assert state_of(store.storage, plain.id) == State.SUCCESSFUL
    for one in odd:
        result = store.backend.get_result(one.id)
        assert result.status == TaskResultStatus.FAILED
        assert [error.exception_class_path for error in result.errors] == [UNREADABLE]
        assert len(result.worker_ids) == 1


def test_damaged_arguments_fail_their_calls_at_once(store: Store) -> None:
    """Another attempt would meet them again."""
    odd = [
        job(at, arguments=arguments, task_path=f"tests.contract.tasks.{name}")
        for name in ("add", "add_soon", "flaky")
        for at, arguments in enumerate([b"[[1", b"5", b"[5,{}]", b"\xff", b"", b"[" * 100_000])
    ]
    store.storage.enqueue(odd)
    work_off(store)
    for one in odd:
        result = store.backend.get_result(one.id)
        assert result.status == TaskResultStatus.FAILED
        assert [error.exception_class_path for error in result.errors] == [UNREADABLE]


@on_databases
def test_a_version_that_reads_it_takes_what_was_set_aside(
    store: Store, as_next_version: Callable[[], None]
) -> None:
    odd = job(0, options=b'{"_format":2}', arguments=codec.encode(((1, 2), {})))
    later = job(1, options=b'{"_format":3}')
    store.storage.enqueue([odd, later])
    work_off(store)
    Stager(store.storage).step(THE_END)  # of this version
    work_off(store)
    assert state_of(store.storage, odd.id) == State.SCHEDULED
    as_next_version()
    Stager(store.storage).step(START + DAY)
    work_off(store)
    assert store.backend.get_result(odd.id).return_value == 3
    assert state_of(store.storage, later.id) == State.SCHEDULED


@on_kinds([kind for kind in ONE_ORDER if kind.name.startswith("sqlite")])
def test_a_deferred_job_that_is_due_at_no_moment_keeps_no_other_waiting(store: Store) -> None:
    """SQLite keeps text in a column of numbers."""
    odd = job(0, available_at=START + DAY, run_after=START + DAY, state=State.SCHEDULED)
    store.storage.enqueue([odd])
    with connections[STORE].cursor() as cursor:
        cursor.execute("UPDATE mainspring_job SET available_at = 'soon'")
    assert Stager(store.storage).step(START + DAY) > 0
    due = job(1, available_at=START + 2, run_after=START + 2, state=State.SCHEDULED)
    store.storage.enqueue([due])
    Stager(store.storage).step(START + DAY)
    assert state_of(store.storage, due.id) == State.READY
    assert state_of(store.storage, odd.id) == State.SCHEDULED


@on_databases
def test_what_waits_for_a_moment_of_its_own_is_not_restored(store: Store) -> None:
    """Whatever ``run_after`` it has: none is as late as what stands for a format."""
    last = job(0, available_at=clock.LAST, run_after=clock.LAST, state=State.SCHEDULED)
    never = clock.to_moment(datetime.max.replace(tzinfo=UTC))  # taken by earlier versions
    beyond = job(1, available_at=never, run_after=never, state=State.SCHEDULED)
    store.storage.enqueue([last, beyond])
    assert store.storage.restore(1_000_000) == 0


@pytest.mark.parametrize("used", [b"", b"[5", b'{"a":1}', b"[1,{},[[1]]]", b"\xff"], ids=repr)
@pytest.mark.parametrize("limit", ["c:a", "r:a"])
@on_databases
def test_a_limit_whose_use_is_damaged_begins_anew(
    store: Store, limit: str, used: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bound = [limit, 1] if limit == "c:a" else [limit, 1, 60 * SECOND]
    group = codec.encode([bound]).decode()
    waiting = job(0, limit_group=group, state=State.HELD)
    store.storage.enqueue([waiting])
    assert store.storage.admit(clock.now()).admitted == 1
    LimitUse.objects.using(STORE).update(used=used)
    other = job(1, limit_group=group, state=State.HELD)
    store.storage.enqueue([other])
    plain = job(2, limit_group='[["c:b",1]]', state=State.HELD)
    store.storage.enqueue([plain])
    store.storage.admit(clock.now())
    assert state_of(store.storage, plain.id) == State.READY
    if used:
        assert caplog.text.count("the limit is reset") == 1


def test_an_ordinary_row_carries_no_number() -> None:
    assert b"_format" not in with_spec(None, Spec(MAP, "items"))


def test_a_lease_of_a_newer_format_is_left_to_newer_workers(store: Store) -> None:
    """What it means, this version does not know; it is not taken for ended."""
    one = Worker(f"{worker().id}~2", 77)
    store.storage.heartbeat(one, START)
    (taken,) = claimed(store.storage, one, 0)
    rescuer = Rescuer(store.storage, lambda: (), lambda _: None, lambda: True, 3 * SECOND // 1000)
    assert [lease.worker_id for lease in store.storage.leases()] == [one.id]
    for _ in range(3):
        rescuer.step(START + DAY)
        rescuer._next_leases = 0.0
        rescuer._leases._since = dict.fromkeys(rescuer._leases._since, -1e9)
    assert state_of(store.storage, taken.id) == State.RUNNING
