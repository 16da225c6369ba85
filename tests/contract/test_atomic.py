"""Atomic tasks: what they write and their outcome are stored together, or not at all."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_finished

from mainspring import TaskResult, signals
from mainspring.backends.database.atomic import DatabaseTransaction
from mainspring.core import codec
from mainspring.core.jobs import Job, State
from mainspring.exceptions import StoreUnavailable
from mainspring.runtime import atomic
from mainspring.runtime.board import NoBoard
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.worker import Worker
from tests.contract import ledger
from tests.contract.jobs import stored, worker
from tests.contract.router import STORE
from tests.contract.stores import SQLITE, Store, on_databases
from tests.contract.tasks import add, add_soon

UNSOUND = "django.db.transaction.TransactionManagementError"


class Line:
    """The tasks of one worker, run in the test's thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.worker = Worker(store.backend, worker(), WorkerOptions(processes=1), NoBoard())
        self.worker._register()
        self.results: dict[str, TaskResult[Any]] = {}

    def put(self, task: Any, *names: str, **kwargs: Any) -> None:
        """Enqueue an atomic call for each name; the first ones run first."""
        for name in names:
            priority = max(50 - len(self.results), -100)
            self.put_plain(task.using(atomic=True, priority=priority), name, **kwargs)

    def put_plain(self, task: Any, name: str, **kwargs: Any) -> None:
        """Enqueue a call."""
        self.results[name] = task.enqueue(name, **kwargs)

    def claim(self) -> None:
        """Claim all there is."""
        self.worker.exchange(1000)

    def run(self) -> None:
        """Run all there is, and settle what the tasks have not settled themselves."""
        while True:
            self.claim()
            if not len(self.worker.waiting):
                break
            self.worker._run_inline()
            assert not connections[STORE].in_atomic_block
            assert connections[STORE].get_autocommit()
            self.worker.settle()
        assert not self.worker.is_busy

    def job(self, name: str) -> Job:
        """Return a job as it is stored."""
        return stored(self.store.storage, self.results[name].id)

    def state(self, name: str) -> State:
        """Return the state of a call."""
        return State(self.job(name).state)

    def errors(self, name: str) -> list[Any]:
        """Return the errors of a call: the path of a class and a text."""
        return [error[:2] for error in codec.decode(self.job(name).errors or b"[]")]

    def attempts(self, name: str) -> int:
        """Return how many attempts are counted."""
        return len(codec.decode(self.job(name).worker_ids or b"[]"))

    def check(self, *names: str) -> None:
        """Check that these, and no others, were successful and wrote what they wrote once."""
        assert ledger.entries() == sorted(names)
        for name in names:
            assert (self.state(name), self.errors(name)) == (State.SUCCESSFUL, []), name
            assert self.attempts(name) == 1


@pytest.fixture
def line(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A worker's tasks, all of which take no time and so share a transaction."""
    monkeypatch.setattr(atomic, "ticks", lambda: 0)
    monkeypatch.setattr(atomic, "_PAUSE", (0, 0))
    ledger.create()
    one = Line(store)
    for task in (
        ledger.write,
        ledger.write_and_raise,
        ledger.write_orphan,
        ledger.write_and_hook,
        ledger.write_nested,
        ledger.break_transaction,
        ledger.meet_another,
        ledger.note,
        ledger.write_and_return_what_is_not_json,
    ):
        assert one.worker.executor.atomic is not None
        one.worker.executor.atomic._durations[task.module_path] = 1
    yield one
    ledger.drop()


@pytest.fixture
def statements(line: Line) -> Iterator[Counter[str]]:
    """The statements on Django's connection, counted by their first word, and the commits."""
    counted: Counter[str] = Counter()
    connection = connections[STORE]
    connection.ensure_connection()
    commit = connection._commit

    def count(execute: Any, sql: str, *args: Any) -> Any:
        counted[sql.split(maxsplit=1)[0]] += 1
        return execute(sql, *args)

    def count_commit() -> None:
        counted["committed"] += 1
        commit()

    with connection.execute_wrapper(count), pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "_commit", count_commit)
        yield counted


# Which tasks


def test_backends_without_transactions_refuse(store: Store) -> None:
    if store.kind.database is None:
        with pytest.raises(InvalidTask, match="does not support atomic tasks"):
            add.using(atomic=True)
    else:
        assert add.using(atomic=True).atomic


@on_databases
def test_async_tasks_are_refused(store: Store) -> None:
    with pytest.raises(InvalidTask, match="must be sync functions"):
        add_soon.using(atomic=True)


# All goes well


@on_databases
def test_tasks_share_a_transaction_each_in_a_savepoint(
    line: Line, statements: Counter[str]
) -> None:
    names = [f"task {number:02}" for number in range(20)]
    line.put(ledger.write, *names)
    statements.clear()
    line.run()
    assert (statements["INSERT"], statements["SAVEPOINT"]) == (20, 20)
    assert statements["committed"] == 1
    assert statements["RELEASE"] <= 1
    line.check(*names)
    assert ledger.called == names
    assert codec.decode(line.job(names[0]).return_value or b"") == names[0]


@on_databases
def test_at_most_so_many_share_one(line: Line, statements: Counter[str]) -> None:
    names = [f"task {number:03}" for number in range(120)]
    line.put(ledger.write, *names)
    line.run()
    assert statements["committed"] == 3
    line.check(*names)


@on_databases
def test_nothing_is_kept_waiting(
    line: Line, statements: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0

    def tick() -> int:
        nonlocal now
        now += 1000
        return now

    monkeypatch.setattr(atomic, "ticks", tick)
    line.put(ledger.write, *"abcdefgh")
    line.run()
    assert statements["committed"] == 3
    line.check(*"abcdefgh")


@on_databases
def test_tasks_that_are_long_or_not_known_have_their_own(
    line: Line, statements: Counter[str]
) -> None:
    runner = line.worker.executor.atomic
    assert runner is not None
    runner._durations.clear()
    line.put(ledger.write, *"abc")
    line.put(ledger.write_nested, "n")
    runner._durations[ledger.write_nested.module_path] = 5000
    line.run()
    assert statements["committed"] == 3  # a; b and c; n
    assert ledger.called[:3] == ["a", "b", "c"]


@on_databases
def test_what_was_claimed_after_the_transaction_began_has_another(
    line: Line, statements: Counter[str]
) -> None:
    line.put(ledger.write, "a", "b", "c", "d")
    line.claim()
    waiting = line.worker.waiting
    first, second, *later = waiting.take_all()

    def claim_ahead() -> None:
        while later:
            waiting.put(later.pop(0))

    waiting.put(first)
    waiting.put(second)
    line.worker.inline._ahead_at = 1
    line.worker.inline.run(lambda: False, claim_ahead)
    assert statements["committed"] == 2
    line.check("a", "b", "c", "d")


@on_databases
def test_other_tasks_run_outside_of_the_transaction(line: Line) -> None:
    line.put(ledger.write, "a")
    line.put_plain(ledger.look.using(priority=0), "look")
    line.put(ledger.write, "b")
    line.run()
    assert codec.decode(line.job("look").return_value or b"") in (
        [False, ["a"]],
        [False, ["a", "b"]],
    )
    line.check("a", "b")


@on_databases
def test_blocks_of_their_own_are_theirs(line: Line) -> None:
    line.put(ledger.write, "a")
    line.put(ledger.write_nested, "n")
    line.put(ledger.write, "z")
    line.run()
    assert ledger.entries() == ["a", "n: after", "n: before", "z"]
    assert line.state("n") == State.SUCCESSFUL
    assert ledger.hooked == []


@on_databases
def test_hooks_are_called_after_the_commit_whatever_they_raise(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.put(ledger.write_and_hook, "a")
    line.put(ledger.write_and_hook, "b", fails=True)
    line.put(ledger.write_and_hook, "c raises")
    line.put(ledger.write_and_hook, "d")
    line.run()
    assert ledger.hooked == ["a", "b", "d"]
    assert ledger.called == ["a", "b", "c raises", "d"]
    assert [line.state(name) for name in ("a", "b", "d")] == [State.SUCCESSFUL] * 3
    assert f"What task id={line.results['b'].id}" in caplog.text


@on_databases
def test_signals_are_sent_when_it_is_stored(line: Line) -> None:
    told: list[tuple[str, State]] = []

    def receive(task_result: TaskResult[Any], **_: Any) -> None:
        job = stored(line.store.storage, task_result.id)
        told.append((task_result.args[0], State(job.state)))

    line.put(ledger.write, "a")
    line.put(ledger.write_and_raise, "b")
    line.put(ledger.write, "c")
    task_finished.connect(receive)
    try:
        line.run()
    finally:
        task_finished.disconnect(receive)
    assert told == [("a", State.SUCCESSFUL), ("b", State.FAILED), ("c", State.SUCCESSFUL)]


# A task fails


@on_databases
@pytest.mark.parametrize(
    ("task", "error"),
    [
        (ledger.write_and_raise, "builtins.ValueError"),
        (ledger.write_and_return_what_is_not_json, "builtins.TypeError"),
    ],
)
def test_one_that_fails_takes_no_neighbour_with_it(
    line: Line, statements: Counter[str], task: Any, error: str
) -> None:
    line.put(task, "f1", "f2")
    line.put(ledger.write, "a")
    line.put(task, "f3")
    line.put(ledger.write, "b")
    line.run()
    assert statements["committed"] == 1
    line.check("a", "b")
    for name in ("f1", "f2", "f3"):
        assert line.state(name) == State.FAILED
        assert [path for path, _ in line.errors(name)] == [error]
        assert line.attempts(name) == 1
    assert ledger.called == ["f1", "f2", "a", "f3", "b"]


@on_databases
def test_one_that_fails_is_tried_again(line: Line, heard: list[Any]) -> None:
    retried: list[Any] = []

    def receive(details: signals.Retried, **_: Any) -> None:
        retried.append(details.task_result.id)

    line.put(ledger.write, "a")
    line.put(ledger.write_and_raise.using(max_attempts=2, backoff=0), "f")
    signals.task_retried.connect(receive)
    try:
        line.run()
    finally:
        signals.task_retried.disconnect(receive)
    assert (line.state("f"), line.attempts("f"), len(line.errors("f"))) == (State.FAILED, 2, 2)
    assert ledger.entries() == ["a"]
    assert retried == [line.results["f"].id]


@on_databases
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "together"])
def test_metadata_is_stored_together_with_the_rest(line: Line, alone: bool) -> None:
    if not alone:
        line.put(ledger.write, "a")
    line.put(ledger.note, "n", "n raises")
    line.run()
    for name in ("n", "n raises"):
        assert codec.decode(line.job(name).metadata or b"{}") == {"name": name}
    assert line.state("n raises") == State.FAILED
    assert ledger.entries() == (["n"] if alone else ["a", "n"])


# The transaction fails


@on_databases
def test_a_claim_that_is_gone_takes_its_writes_with_it_and_no_others(line: Line) -> None:
    line.put(ledger.write, "a")
    line.put(ledger.note, "b")
    line.put(ledger.write, "c")
    line.claim()
    assert line.store.storage.cancel([line.results["b"].id])
    line.worker._run_inline()
    assert not line.worker.is_busy
    line.check("a", "c")
    assert line.state("b") == State.CANCELLED
    assert line.job("b").metadata is None
    assert Counter(ledger.called) == {"a": 2, "b": 1, "c": 2}


@on_databases
def test_a_claim_that_is_gone_from_a_task_alone(line: Line) -> None:
    line.put(ledger.write, "a")
    line.claim()
    assert line.store.storage.cancel([line.results["a"].id])
    line.worker._run_inline()
    assert not line.worker.is_busy
    assert (ledger.entries(), line.state("a")) == ([], State.CANCELLED)


@on_databases
def test_a_constraint_that_the_commit_checks_fails_one_task_alone(line: Line) -> None:
    line.put(ledger.write, "a")
    line.put(ledger.write_orphan, "orphan")
    line.put(ledger.write, "b")
    line.run()
    line.check("a", "b")
    assert (line.state("orphan"), line.attempts("orphan")) == (State.FAILED, 1)
    ((kind, text),) = line.errors("orphan")
    assert kind == "django.db.utils.IntegrityError"
    if connections[STORE].vendor != "mysql":
        assert "was to be committed" in text
        assert Counter(ledger.called) == {"a": 2, "orphan": 2, "b": 2}


@on_databases
@pytest.mark.parametrize("how", ledger.BREAKS)
def test_a_task_that_breaks_the_transaction_fails_alone(line: Line, how: str) -> None:
    line.put(ledger.write, "a")
    line.put(ledger.break_transaction, "x", how=how)
    line.put(ledger.write, "b")
    line.run()
    if line.state("x") == State.SUCCESSFUL:  # a database that forgives it
        assert how in {"goes on after an error of a cursor", "closes the connection"}
        line.check("a", "b", "x")
        return
    line.check("a", "b")
    assert (line.state("x"), line.attempts("x")) == (State.FAILED, 1)
    ((kind, text),) = line.errors("x")
    if how.endswith("raises"):
        assert kind == "builtins.ValueError"
    else:
        assert kind == UNSOUND, text
    line.put(ledger.write, "c")
    line.run()
    line.check("a", "b", "c")


class Commits:
    """What becomes of the next commits on Django's connection: one word for each."""

    def __init__(self, connection: BaseDatabaseWrapper, *fates: str) -> None:
        self._connection, self._fates = connection, list(fates)
        self._commit = connection._commit

    def __call__(self) -> None:
        fate = self._fates.pop(0) if self._fates else "passes"
        if fate in {"passes", "passes unheard"}:
            self._commit()
        if fate != "passes":
            raise OperationalError("the connection was lost")


@on_databases
@pytest.mark.parametrize("fates", [("passes unheard",), ("fails",), ("fails", "passes unheard")])
@pytest.mark.parametrize("names", ["a", "abc"])
def test_a_commit_that_nobody_heard_of_is_looked_up(
    line: Line, monkeypatch: pytest.MonkeyPatch, fates: tuple[str, ...], names: str
) -> None:
    connection = connections[STORE]
    monkeypatch.setattr(connection, "_commit", Commits(connection, *fates))
    line.put(ledger.write_and_hook, *names)
    line.run()
    line.check(*names)
    assert ledger.hooked == list(names)
    assert len(ledger.called) == len(names) * (1 + ("fails" in fates))


@on_databases
def test_a_commit_in_doubt_waits_for_the_store(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, storage = connections[STORE], line.store.storage
    look, looks = storage.stored, iter([StoreUnavailable("away")] * 3)

    def look_later(outcomes: Any) -> set[str]:
        for error in looks:
            raise error
        return look(outcomes)

    monkeypatch.setattr(connection, "_commit", Commits(connection, "passes unheard"))
    monkeypatch.setattr(storage, "stored", look_later)
    line.put(ledger.write, *"abc")
    line.run()
    line.check(*"abc")
    assert ledger.called == list("abc")


@on_databases
def test_a_store_that_cannot_begin_leaves_the_call_as_it_was(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = line.store.storage
    begin, failures = storage.atomic, iter([StoreUnavailable("away")] * 2)

    def begin_later() -> Any:
        for error in failures:
            raise error
        return begin()

    monkeypatch.setattr(storage, "atomic", begin_later)
    line.put(ledger.write, *"abc")
    line.run()
    line.check(*"abc")
    assert sorted(ledger.called) == list("abc")


@on_databases
def test_a_connection_that_died_idle_is_replaced(line: Line) -> None:
    connection = connections[STORE]
    line.put(ledger.write, "a")
    line.run()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor, pytest.raises(OperationalError):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    else:
        connection.close()
    line.put(ledger.write, "b", "c")
    line.run()
    line.check("a", "b", "c")


@on_databases
def test_a_connection_that_dies_between_two_tasks_costs_nobody_anything(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, marks = DatabaseTransaction.mark, iter([False, False, True])

    def mark_or_die(self: DatabaseTransaction) -> None:
        if next(marks, False):
            self.is_broken = True
            raise StoreUnavailable("away")
        mark(self)

    monkeypatch.setattr(DatabaseTransaction, "mark", mark_or_die)
    line.put(ledger.write, *"abcd")
    line.run()
    line.check(*"abcd")
    assert Counter(ledger.called) == {"a": 2, "b": 2, "c": 1, "d": 1}


@on_databases
def test_a_deadlock_in_a_shared_transaction_costs_nobody_anything(
    line: Line, statements: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = line.store.storage._dialect  # type: ignore[attr-defined]
    monkeypatch.setattr(dialect, "is_transient", lambda error: "deadlock" in str(error))
    line.put(ledger.write, "a")
    line.put(ledger.meet_another, "m")
    line.put(ledger.write, "b")
    line.run()
    line.check("a", "m", "b")
    assert Counter(ledger.called) == {"a": 2, "m": 2, "b": 1}
    assert statements["committed"] == 3  # from then on, each has its own

    ledger.called.clear()
    line.put(ledger.meet_another, "again")
    line.run()
    assert line.state("again") == State.FAILED  # nobody else to blame


@on_databases
def test_settings_of_the_connection_are_left_as_they_were(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.put(ledger.write, "a", "b")
    connection: Any = connections[STORE]
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)
    before = _settings_of(connection)
    line.run()
    line.check("a", "b")
    assert _settings_of(connection) == before
    assert connection.execute_wrappers == []


def _settings_of(connection: Any) -> Any:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT name, setting FROM pg_settings ORDER BY name")
            return cursor.fetchall()
        if connection.vendor == "mysql":
            cursor.execute("SHOW SESSION VARIABLES")
            return [row for row in cursor.fetchall() if row[0] not in _CHANGING]
        cursor.execute("PRAGMA busy_timeout")
        return [cursor.fetchone(), connection.transaction_mode]


_CHANGING = {"timestamp", "gtid_binlog_pos", "gtid_current_pos", "last_gtid", "gtid_binlog_state"}


@pytest.mark.parametrize("kind", [SQLITE], ids=str, indirect=True)
def test_sqlite_is_locked_for_writing_at_once(line: Line) -> None:
    # Else a task that reads before it writes fails whenever another has written in between.
    assert line.store.database is not None
    name = str(line.store.database["NAME"])
    line.put(ledger.try_to_write_elsewhere, name)
    line.run()
    assert codec.decode(line.job(name).return_value or b"") == "database is locked"


@on_databases
def test_settings_without_autocommit_are_told(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def get_autocommit() -> bool:
        return False

    line.put(ledger.write, "a")
    line.claim()
    monkeypatch.setattr(connections[STORE], "get_autocommit", get_autocommit)
    runner = line.worker.executor.atomic
    assert runner is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "tidy_connections", lambda: None)
        line.worker._run_inline()
    monkeypatch.undo()
    line.worker.settle()
    ((kind, text),) = line.errors("a")
    assert kind == "django.core.exceptions.ImproperlyConfigured"
    assert "DATABASES['store']['AUTOCOMMIT'] is False" in text
