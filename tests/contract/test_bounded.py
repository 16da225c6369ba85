"""What workers do besides: one step takes no more statements where there is more to look at."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from mainspring.backends.storage import Storage
from mainspring.core.chunks import MapRecord
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State, Worker
from mainspring.maintenance.finisher import Finisher
from tests.contract.jobs import START, registered, state_of
from tests.contract.limits import limited, slots
from tests.contract.maps import claimed_rows, found, grown, mapped, opened, returned
from tests.contract.stores import Store, on_databases

NOW = START + 10 * SECOND


class _Counted:
    """A cursor whose statements are counted."""

    def __init__(self, cursor: Any, seen: list[str]) -> None:
        self._cursor = cursor
        self._seen = seen

    def execute(self, sql: str, *args: Any) -> Any:
        self._seen.append(sql)
        return self._cursor.execute(sql, *args)

    def executemany(self, sql: str, rows: Any) -> Any:
        rows = list(rows)
        self._seen += [sql] * len(rows)
        return self._cursor.executemany(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


@pytest.fixture
def statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements on the worker's own connections."""
    seen: list[str] = []
    dialect = store.storage._dialect  # type: ignore[attr-defined]

    def counted(
        method: Callable[..., AbstractContextManager[Any]],
    ) -> Callable[..., AbstractContextManager[Any]]:
        @contextmanager
        def block(*args: Any) -> Iterator[Any]:
            with method(*args) as cursor:
                yield _Counted(cursor, seen)

        return block

    for name in ("read", "write"):
        monkeypatch.setattr(dialect, name, counted(getattr(dialect, name)))
    return seen


def ended(storage: Storage, worker: Worker, number: int) -> list[MapRecord]:
    """Store maps whose only rows have been settled by a worker that died then."""
    records = [mapped(storage, 1)[0] for _ in range(number)]
    storage.settle(worker, [returned(row, worker) for row in claimed_rows(storage, worker)])
    return records


# Maps


def test_maps_are_looked_at_some_at_a_time(storage: Storage, worker: Worker) -> None:
    over = ended(storage, worker, 3)
    for _ in range(2):
        mapped(storage, 1)
    grown(storage, opened(storage), 1)
    after, seen, looks = "", [], 0
    while True:
        look = storage.look_at_maps(after, 2)
        seen += look.ended
        looks += 1
        after = look.last
        if not after:
            break
        assert looks < 10
    finished = [one for one in seen if storage.finish_map(one, NOW)]
    assert sorted(finished) == sorted(record.id for record in over)
    assert looks > 1


def test_the_finisher_comes_to_all_maps_at_their_end(storage: Storage, worker: Worker) -> None:
    records = ended(storage, worker, 25)
    finisher, steps = Finisher(storage), 0
    while finisher.step(NOW) < 1:
        steps += 1
        assert steps < 10
    assert all(found(storage, one).finished_at == NOW for one in records)
    assert steps > 1


@on_databases
def test_a_look_at_maps_takes_no_more_statements_where_there_are_more(
    store: Store, statements: list[str]
) -> None:
    storage, numbers = store.storage, []
    worker = registered(storage)
    for number in (120, 200):
        for _ in range(number):
            mapped(storage, 1)
        finisher = Finisher(storage)
        statements.clear()
        finisher.step(NOW)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1] <= 2
    storage.settle(worker, [returned(row, worker) for row in claimed_rows(storage, worker)])
    statements.clear()
    finisher.step(NOW)
    assert len(statements) <= 100


# Limits


def of_each(storage: Storage, keys: range, at: int = 0) -> list[Job]:
    """Store a job for each key, which waits for a limit of its own."""
    jobs = [limited(at, slots(1, f"{key:05d}")) for key in keys]
    storage.enqueue(jobs)
    return jobs


def admitted_in_turn(storage: Storage, number: int, at: int) -> int:
    """Admit so many, looking once a second; return when it was done."""
    admitted = 0
    for _ in range(60):
        at += SECOND
        admitted += storage.admit(at).admitted
        if admitted == number:
            return at
    raise AssertionError(f"Only {admitted} of {number} have had their turn.")


def test_of_many_limits_all_have_their_turn(storage: Storage) -> None:
    of_each(storage, range(450))
    at = admitted_in_turn(storage, 450, NOW)
    assert storage.admit(at + SECOND).admitted == 0


@on_databases
def test_a_look_at_limits_takes_no_more_statements_where_there_are_more(
    store: Store, statements: list[str]
) -> None:
    storage, at, numbers = store.storage, NOW, []
    for keys in (range(250), range(250, 900)):
        of_each(storage, keys)
        at = admitted_in_turn(storage, len(keys), at)
        of_each(storage, keys)  # for which there is no room now
        most = 0
        for _ in range(8):
            at += SECOND
            statements.clear()
            assert storage.admit(at).admitted == 0
            most = max(most, len(statements))
        numbers.append(most)
    assert max(numbers) <= 8


@on_databases
def test_among_many_limits_a_new_job_is_seen_at_the_next_look(store: Store) -> None:
    storage = store.storage
    of_each(storage, range(450))
    at = admitted_in_turn(storage, 450, NOW)
    of_each(storage, range(450))
    for _ in range(3):
        at += SECOND
        assert storage.admit(at).admitted == 0
    (new,) = of_each(storage, range(460, 461), at - START)
    assert storage.admit(at + 1).admitted == 1
    assert state_of(storage, new.id) == State.READY


@on_databases
def test_among_many_limits_a_resumed_queue_is_looked_at_at_once(store: Store) -> None:
    storage, at = store.storage, NOW
    storage.pause("default")
    storage.find_paused()
    of_each(storage, range(450))
    for _ in range(20):
        at += SECOND
        assert storage.admit(at).admitted == 0
    storage.resume("default")
    assert storage.find_paused() == frozenset()
    assert sum(storage.admit(at + i).admitted for i in range(1, 10)) == 450
