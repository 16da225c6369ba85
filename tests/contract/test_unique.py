"""enqueue_unique: of equal calls, one is pending; held by a constraint, whoever enqueues."""

import random
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from threading import Barrier
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.tasks import TaskResultStatus
from django.utils import timezone

from mainspring import TaskResult
from mainspring.backends.database.models import UniqueCall
from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.limits import Bound, Limit, group_of
from mainspring.core.unique import UNTIL, Unique
from tests.contract.contender import Contender
from tests.contract.jobs import (
    ALL,
    START,
    deferred,
    enqueued,
    failed,
    finish,
    ids,
    job,
    registered,
    state_of,
    succeeded,
)
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_processes, with_threads
from tests.contract.tasks import add, echo, once
from tests.contract.test_servers import drop_connections, on_postgresql, on_servers

LONG = 20.0  # seconds
GROUP = group_of([Bound.of(Limit(1), "one at a time", None)])
PROCESSES, THREADS = 4, 5

until_end = once.using(unique_until="end")


def unique(key: str = "k", until: str = "start", expires_at: int | None = None) -> Unique:
    return Unique(key.ljust(64, "0"), UNTIL[until], expires_at)


def enqueue(storage: Storage, new: Job, by: Unique | None) -> Job:
    (stored,) = storage.enqueue_unique([(new, by)])
    return stored


def started(storage: Storage) -> tuple[Worker, Job]:
    worker = registered(storage)
    (taken,) = storage.claim(worker, ALL, 10)
    return worker, taken


# What is equal


def test_an_equal_pending_call_is_returned(store: Store) -> None:
    first = once.enqueue(1, b=2)
    second = once.enqueue(1, b=2)
    assert second == first
    assert second.args == [1]
    assert dict(store.storage.stats().ready) == {"default": 1}


def test_other_arguments_tasks_and_aliases_are_independent(store: Store) -> None:
    results = [
        once.enqueue(1),
        once.enqueue(2),
        once.enqueue(a=1),
        add.using(unique=True).enqueue(1),
        once.using(backend="other").enqueue(1),
    ]
    assert len({result.id for result in results}) == 5


def test_other_values_of_one_call_leave_it_equal(store: Store) -> None:
    first = once.using(priority=5).enqueue(1)
    assert once.using(queue_name="mail", priority=7).enqueue(1).id == first.id
    assert first.refresh().priority == 5


def test_the_order_of_names_does_not_matter(store: Store) -> None:
    task = echo.using(unique=True)
    first = task.enqueue(a={"x": 1, "y": 2}, b=2)
    assert task.enqueue(b=2, a={"y": 2, "x": 1}).id == first.id
    assert task.enqueue(b=2, a={"y": 2, "x": 3}).id != first.id


def test_a_text_names_the_arguments_that_matter(store: Store) -> None:
    task = echo.using(unique="user {user_id} {0}")
    first = task.enqueue("mail", "now", user_id=7)
    assert task.enqueue("mail", "later", user_id=7, other=1).id == first.id
    assert task.enqueue("mail", user_id=8).id != first.id


def test_a_function_makes_the_key_or_leaves_the_call_as_it_is(store: Store) -> None:
    task = echo.using(unique=lambda word: word.lower() or None)
    assert task.enqueue("A").id == task.enqueue("a").id
    assert task.enqueue("").id != task.enqueue("").id
    assert dict(store.storage.stats().ready) == {"default": 3}


def test_a_call_that_lacks_an_argument_is_not_stored(store: Store) -> None:
    with pytest.raises(ValueError, match=r"lacks the argument \{user_id\}"):
        echo.using(unique="{user_id}").enqueue(1)
    with pytest.raises(ValueError, match=r"lacks the argument \{1\}") as raised:
        echo.using(unique="{1}").enqueue_many([(1, 2), (3,)])
    assert "In call 1" in raised.value.__notes__[0]
    assert dict(store.storage.stats().ready) == {}


def test_from_async_code(store: Store) -> None:
    first = async_to_sync(once.aenqueue)(1)
    assert async_to_sync(once.aenqueue)(1).id == first.id
    many = async_to_sync(once.aenqueue_many)([(1,), (2,)])
    assert many[0].id == first.id

    async def calls() -> AsyncIterator[tuple[int]]:
        yield (1,)
        yield (2,)

    assert async_to_sync(once.aenqueue_many)(calls()) == many


def test_one_call_may_leave_it_out(store: Store) -> None:
    first = once.enqueue(1)
    assert once.using(unique=False).enqueue(1).id != first.id


# How long


def test_a_call_that_started_is_pending_no_more(store: Store) -> None:
    first = once.enqueue(1)
    started(store.storage)
    second = once.enqueue(1)
    assert second.id != first.id
    assert once.enqueue(1).id == second.id


def test_until_the_end_a_running_call_counts(store: Store) -> None:
    first = until_end.enqueue(1)
    worker, taken = started(store.storage)
    running = until_end.enqueue(1)
    assert (running.id, running.status) == (first.id, TaskResultStatus.RUNNING)
    assert store.storage.settle(worker, [succeeded(taken, worker)]) == []
    assert until_end.enqueue(1).id != first.id


@pytest.mark.parametrize("task", [once, until_end])
def test_a_call_that_waits_for_a_retry_is_pending(store: Store, task: Any) -> None:
    first = task.enqueue(1)
    worker, taken = started(store.storage)
    retry = failed(taken, worker)._replace(
        state=State.SCHEDULED, finished_at=None, available_at=taken.enqueued_at + 60 * SECOND
    )
    assert store.storage.settle(worker, [retry]) == []
    assert task.enqueue(1).id == first.id


@pytest.mark.parametrize("until", ["start", "end"])
def test_what_waits_for_its_moment_or_a_limit_is_pending(storage: Storage, until: str) -> None:
    held = job(state=State.HELD, limit_group=GROUP)
    for key, new in {"s": deferred(SECOND), "h": held}.items():
        enqueue(storage, new, unique(key, until))
        assert enqueue(storage, job(1), unique(key, until)) == new
    assert storage.stats().held == 1


@pytest.mark.parametrize("task", [once, until_end])
def test_a_cancelled_call_is_pending_no_more(store: Store, task: Any) -> None:
    first = task.enqueue(1)
    assert first.cancel()
    assert task.enqueue(1).id != first.id


def test_uniqueness_ends_at_the_latest_after_unique_for(storage: Storage) -> None:
    by = unique(until="end", expires_at=START + SECOND)
    first = enqueue(storage, job(), by)
    assert enqueue(storage, job(SECOND - 1), by) == first
    later = unique(until="end", expires_at=START + 2 * SECOND)
    second = enqueue(storage, job(SECOND), later)
    assert second.id != first.id
    assert enqueue(storage, job(2 * SECOND - 1), later) == second
    assert enqueue(storage, job(2 * SECOND), unique(until="end")).id != second.id


def test_unique_for_counts_from_the_enqueue(store: Store) -> None:
    first = once.using(unique_for=60).enqueue(1)
    assert once.using(unique_for=60).enqueue(1).id == first.id
    brief = once.using(unique_for=0.000_001)
    assert brief.enqueue(2).id != brief.enqueue(2).id


# Many at once


def test_equal_calls_of_one_list_share_one_result(store: Store) -> None:
    before = once.enqueue(2)
    results = once.enqueue_many([(1,), (2,), (1,), {"a": 3}, (1,)])
    assert [result.args for result in results] == [[1], [2], [1], [], [1]]
    assert results[1].id == before.id
    assert results[0] == results[2] == results[4]
    assert len(set(results.ids)) == 3  # type: ignore[attr-defined]
    assert dict(store.storage.stats().ready) == {"default": 3}


def test_many_unique_calls_are_all_stored_or_none(store: Store) -> None:
    with pytest.raises(TypeError, match="Argument 1") as raised:
        once.enqueue_many([(1,), (object(),)])
    assert "In call 1" in raised.value.__notes__[0]
    assert dict(store.storage.stats().ready) == {}
    assert len(once.enqueue_many((i % 700,) for i in range(1400))) == 1400
    assert dict(store.storage.stats().ready) == {"default": 700}
    assert once.enqueue_many([]) == []


def test_only_what_was_enqueued_is_told(
    store: Store, heard: list[tuple[str, TaskResult[Any]]]
) -> None:
    first = once.enqueue(1)
    once.enqueue(1)
    _, second, _ = once.enqueue_many([(1,), (2,), (2,)])
    assert heard == [("enqueued", first), ("enqueued", second)]


# Transactions


@on_databases
@pytest.mark.parametrize("is_savepoint", [True, False])
def test_a_rollback_frees_the_key(store: Store, is_savepoint: bool) -> None:
    with ExitStack() as stack:
        if is_savepoint:
            stack.enter_context(transaction.atomic(STORE))
        with transaction.atomic(STORE):
            first = once.enqueue(1)
            transaction.set_rollback(True, using=STORE)
        second = once.enqueue(1)
    assert second.id != first.id
    assert second.refresh() == second
    assert once.enqueue(1).id == second.id


@on_databases
def test_a_second_call_in_a_transaction_returns_the_first(store: Store) -> None:
    with transaction.atomic(STORE):
        first = once.enqueue(1)
        assert once.enqueue(1) == first
        assert once.enqueue_many([(1,), (2,)])[0] == first
    assert once.enqueue(1).id == first.id
    assert dict(store.storage.stats().ready) == {"default": 2}


@on_databases
def test_a_rollback_leaves_the_key_with_the_earlier_call(store: Store) -> None:
    """Taken over in the transaction, as the earlier one had started; it is released after that."""
    first = once.enqueue(1)
    worker, taken = started(store.storage)
    with transaction.atomic(STORE):
        assert once.enqueue(1).id != first.id
        transaction.set_rollback(True, using=STORE)
    store.storage.release(worker, [taken])
    assert once.enqueue(1).id == first.id


def wait_for_a_lock() -> None:
    """Wait until somebody waits for a lock in the store's database."""
    waiting = {
        "postgresql": "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()",
        "mysql": "SELECT 1 FROM information_schema.innodb_trx AS trx"
        " JOIN information_schema.processlist AS process ON process.id = trx.trx_mysql_thread_id"
        " WHERE trx.trx_state = 'LOCK WAIT' AND process.db = database()",
    }[connections[STORE].vendor]
    connection = connections[STORE].copy()
    deadline = time.monotonic() + LONG
    try:
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            while not cursor.fetchall():
                assert time.monotonic() < deadline
                time.sleep(0.15)  # MariaDB looks anew only if nobody has asked for 0.1 s
                cursor.execute(waiting)
    finally:
        connection.close()


@on_servers
@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("is_held", [True, False])
def test_an_equal_call_waits_for_the_end_of_the_others_transaction(
    store: Store, is_held: bool, is_committed: bool
) -> None:
    """Whether the key is new, or held by a call that has finished."""
    if is_held:
        once.enqueue(1).cancel()
    with transaction.atomic(STORE):
        first = once.enqueue(1)
        other = store.in_thread(lambda: once.enqueue(1))
        wait_for_a_lock()
        assert not other.done()
        transaction.set_rollback(not is_committed, using=STORE)
    second = other.result(LONG)
    assert (second.id == first.id) == is_committed
    assert second.refresh() == second
    assert dict(store.storage.stats().ready) == {"default": 1}


@on_servers
def test_a_pending_call_starts_after_the_commit_of_who_was_given_it(store: Store) -> None:
    """It finds what was written before it was asked for."""
    storage, workers = store.storage, store.another_process()
    worker = registered(storage)
    first = once.enqueue(1)
    with transaction.atomic(STORE):
        assert once.enqueue(1).id == first.id
        assert store.in_thread(lambda: workers.claim(worker, ALL, 1)).result(LONG) == []
    assert ids(workers.claim(worker, ALL, 1)) == [first.id]


@on_postgresql
def test_workers_are_told_that_a_pending_call_may_start(store: Store) -> None:
    storage, workers = store.storage, store.another_process()
    worker = registered(storage)
    once.enqueue(1)
    with transaction.atomic(STORE):
        once.enqueue(1)
        assert workers.claim(worker, ALL, 1) == []
        while workers.wait_for_work(0.05):  # what was told before
            pass
    assert workers.wait_for_work(LONG)
    assert len(workers.claim(worker, ALL, 1)) == 1


@on_servers
def test_a_running_call_is_settled_while_a_transaction_was_given_it(store: Store) -> None:
    workers = store.another_process()
    first = until_end.enqueue(1)
    worker, taken = started(store.storage)
    with transaction.atomic(STORE):
        assert until_end.enqueue(1).id == first.id
        settling = store.in_thread(lambda: workers.settle(worker, [succeeded(taken, worker)]))
        assert settling.result(LONG) == []


@on_servers
@pytest.mark.parametrize("is_inside", [True, False])
def test_a_cancel_that_is_not_committed_is_waited_for(store: Store, is_inside: bool) -> None:
    first = once.enqueue(1)

    def enqueue_again() -> TaskResult[int]:
        with transaction.atomic(STORE) if is_inside else ExitStack():
            return once.enqueue(1)

    with transaction.atomic(STORE):
        assert first.cancel()
        other = store.in_thread(enqueue_again)
        wait_for_a_lock()
    second = other.result(LONG)
    assert second.id != first.id
    assert second.refresh() == second


@on_servers
def test_others_enqueue_beside_a_transaction_that_holds_a_key(store: Store) -> None:
    once.enqueue(1)
    with transaction.atomic(STORE):
        once.enqueue(1)
        once.enqueue(2)
        others = [
            store.in_thread(lambda: once.enqueue(3)),
            store.in_thread(lambda: add.enqueue(1)),
            store.in_thread(lambda: add.enqueue_many([(1,), (2,)])),
        ]
        for other in others:
            other.result(LONG)


# Many who enqueue


def in_all_threads(store: Store, number: int, call: Callable[[], Any]) -> list[Any]:
    barrier = Barrier(number)

    def run() -> Any:
        barrier.wait()
        try:
            return call()
        finally:
            if store.database is not None:
                connections[STORE].close()

    with ThreadPoolExecutor(number) as pool:
        return [done.result() for done in [pool.submit(run) for _ in range(number)]]


@with_threads
def test_many_threads_get_one_call(store: Store) -> None:
    results = in_all_threads(store, 20, lambda: once.enqueue(1))
    assert len({result.id for result in results}) == 1
    assert dict(store.storage.stats().ready) == {"default": 1}


@with_threads
def test_many_who_enqueue_many_in_other_orders_get_the_same(store: Store) -> None:
    """In transactions, where a deadlock would be an error."""
    orders = iter([random.Random(seed).sample(range(40), 40) for seed in range(8)])

    def enqueue_all() -> dict[int, str]:
        order = next(orders)
        with transaction.atomic(STORE) if store.database is not None else nullcontext():
            return {
                number: result.id
                for number, result in zip(
                    order, once.enqueue_many([(number,) for number in order]), strict=True
                )
            }

    first, *others = in_all_threads(store, 8, enqueue_all)
    assert others == [first] * 7
    assert dict(store.storage.stats().ready) == {"default": 40}


@with_processes
def test_twenty_producers_in_four_processes_get_one_call(store: Store) -> None:
    """Again and again, with the key new, pending, and held by a call that has finished."""
    storage, worker = store.storage, registered(store.storage)
    with ExitStack() as stack:
        producers = [Contender(store, "produce_unique", THREADS) for _ in range(PROCESSES)]
        for one in producers:
            stack.enter_context(one)
        for round_ in range(8):
            for one in producers:
                one.tell(round_ // 4)
            answers = {job_id for one in producers for job_id in one.answer()}
            assert len(answers) == 1
            assert dict(storage.stats().ready) == {"default": 1}
            if round_ % 2:
                (taken,) = storage.claim(worker, ALL, 10)
                assert {taken.id} == answers
                assert storage.settle(worker, [succeeded(taken, worker)]) == []
        for one in producers:
            one.tell_no_more()


@with_processes
def test_producers_and_workers_of_one_key_meet_no_error(store: Store) -> None:
    """What was returned as pending is claimed; what is claimed is followed by a new one."""
    returned: set[str] = set()
    with ExitStack() as stack:
        workers = [stack.enter_context(Contender(store, "work", 3)) for _ in range(2)]
        producers = [stack.enter_context(Contender(store, "produce_unique", 2)) for _ in range(2)]
        for one in workers:
            one.tell("go")
        for _ in range(60):
            for one in producers:
                one.tell(1)
            for one in producers:
                returned.update(one.answer())
        for one in producers:
            one.tell_no_more()
        for one in workers:
            one.tell_no_more()
        answers = [one.answer() for one in workers]
    assert sorted(job_id for taken, _ in answers for job_id in taken) == sorted(returned)
    assert [lost for _, lost in answers] == [[], []]


# The rows of keys


def keys() -> int:
    return UniqueCall.objects.using(STORE).count()


@on_databases
def test_a_key_is_deleted_with_its_job(storage: Storage) -> None:
    worker = registered(storage)
    plain = finish(storage, worker, 0, finished_at=SECOND)
    first = enqueue(storage, job(priority=5), unique("a"))
    enqueue(storage, job(), unique("b"))
    (taken,) = storage.claim(worker, ALL, 1)
    storage.settle(worker, [succeeded(taken, worker, SECOND)])
    assert storage.prune(START + 2 * SECOND, 100).deleted == 2
    assert storage.get_results([plain.id, first.id]) == []
    assert keys() == 1
    assert enqueue(storage, job(5), unique("a")).id != first.id


@on_databases
def test_a_key_that_has_passed_on_outlives_the_earlier_job(storage: Storage) -> None:
    worker = registered(storage)
    enqueue(storage, job(), unique())
    (taken,) = storage.claim(worker, ALL, 1)
    second = enqueue(storage, job(1), unique())
    storage.settle(worker, [succeeded(taken, worker, SECOND)])
    assert storage.prune(START + 2 * SECOND, 100).deleted == 1
    assert enqueue(storage, job(2), unique()) == second
    assert keys() == 1


@on_servers
def test_pruning_does_not_wait_for_who_holds_a_key(store: Store) -> None:
    """The job stays for the next time, as the transaction may roll back."""
    storage, pruner = store.storage, store.another_process()
    worker = registered(storage)
    enqueue(storage, job(), unique())
    (taken,) = storage.claim(worker, ALL, 1)
    storage.settle(worker, [succeeded(taken, worker, SECOND)])
    finish(storage, worker, 1, finished_at=SECOND)

    def prune() -> int:
        return pruner.prune(START + 2 * SECOND, 100).deleted

    with transaction.atomic(STORE):
        enqueue(storage, job(2), unique())
        assert store.in_thread(prune).result(LONG) == 1
        transaction.set_rollback(True, using=STORE)
    assert (prune(), keys()) == (1, 0)


# Trouble


@on_servers
def test_a_unique_call_survives_a_connection_that_died_idle(store: Store) -> None:
    first = once.enqueue(1)
    drop_connections(store)
    assert once.enqueue(1).id == first.id
    drop_connections(store)
    once.enqueue(2)
    assert dict(store.storage.stats().ready) == {"default": 2}


@on_servers
def test_what_was_stored_without_an_answer_is_stored_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is made, and the connection is gone before it says so."""
    connection = connections[STORE]
    connection.ensure_connection()
    commit, lost = type(connection).commit, []

    def commit_and_lose(self: Any) -> None:
        commit(self)
        if not lost:
            lost.append(True)
            drop_connections(store)
            with self.cursor() as cursor:
                cursor.execute("SELECT 1")

    monkeypatch.setattr(type(connection), "commit", commit_and_lose)
    first = once.enqueue(1)
    assert lost
    assert once.enqueue(1).id == first.id
    assert dict(store.storage.stats().ready) == {"default": 1}


@on_postgresql
def test_at_repeatable_read_a_call_that_has_started_since_is_an_error(store: Store) -> None:
    """The caller's writes would come too late for it, and the transaction cannot see another."""
    once.enqueue(1)

    def enqueue_late() -> None:
        with transaction.atomic(STORE):
            with connections[STORE].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT 1 FROM mainspring_job")
            started(store.storage)
            once.enqueue(1)

    with pytest.raises(Exception, match="could not serialize access"):
        enqueue_late()


@on_databases
def test_a_deferred_unique_call_waits_for_its_moment(store: Store) -> None:
    due = timezone.now() + timezone.timedelta(hours=1)
    first = once.using(run_after=due).enqueue(1)
    assert once.enqueue(1).id == first.id
    assert state_of(store.storage, first.id) == State.SCHEDULED
    enqueued(store.storage, 0)
    assert first.refresh().run_after == due
