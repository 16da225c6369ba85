"""enqueue: stores new jobs, in the caller's transaction where the store has one."""

import pytest
from django.db import transaction

from mainspring.backends.storage import Storage
from mainspring.core import codec, outcomes
from mainspring.core.jobs import State
from tests.contract.jobs import ALL, deferred, enqueued, ids, job, registered, state_of, stored
from tests.contract.router import STORE
from tests.contract.stores import Store, on_databases, with_processes

PAYLOADS = {
    "nothing": ((), {}),
    "empty values": (("", [], {}, [[]], {"": {}}), {"empty": ""}),
    "big whole numbers": ((2**53 + 1, 2**64, -(2**63) - 1, 10**3999), {}),
    "floats": ((0.1, 1e-320, 1.7976931348623157e308, -0.0, 1.0, 1e22), {}),
    "plain values": ((True, False, None, 0), {"key": None}),
    "text": (("žluťoučký 🐎 \x00 \x7f \u2028 \\ \" ' %s %% ?1", "\n\r\t"), {"ключ": "значение"}),
    "nested": (([{"a": [1, {"b": []}]}] * 3,), {}),
    "a megabyte": (("x" * 1_000_000,), {}),
    "a long list": ((list(range(100_000)),), {}),
}


def test_one_job_is_stored_as_it_is(storage: Storage) -> None:
    new = job(queue_name="mail", priority=-7)
    storage.enqueue([new])
    assert stored(storage, new.id) == new


def test_many_jobs_are_stored_as_they_are(storage: Storage) -> None:
    new = [*(job(at) for at in range(500)), deferred(10)]
    storage.enqueue(new)
    assert sorted(storage.get_results(ids(new))) == sorted(new)


NOTED = {"options": b'{"max_attempts":3}', "metadata": b'{"a":"\xc3\xa4 %s"}'}


@pytest.mark.parametrize("names", [["options"], ["metadata"], ["options", "metadata"]], ids=str)
def test_a_job_carries_what_its_call_was_given(storage: Storage, names: list[str]) -> None:
    new = job(**{name: NOTED[name] for name in names})
    storage.enqueue([new])
    assert stored(storage, new.id) == new
    (claimed,) = storage.claim(registered(storage), ALL, 1)
    assert claimed == new._replace(state=State.RUNNING, claim=claimed.claim)


@pytest.mark.parametrize("number", [3, 600])
@pytest.mark.parametrize("which", [0, 1, -1], ids=["first", "second", "last"])
def test_of_many_jobs_some_may_carry_more(storage: Storage, number: int, which: int) -> None:
    new = [job(at) for at in range(number)]
    new[which] = new[which]._replace(**NOTED)
    storage.enqueue(new)
    assert sorted(storage.get_results(ids(new))) == sorted(new)
    claimed = {one.id: one for one in storage.claim(registered(storage), ALL, number)}
    carried = [(claimed[one.id].options, claimed[one.id].metadata) for one in new]
    assert carried == [(one.options, one.metadata) for one in new]


def test_no_job_is_a_harmless_enqueue(storage: Storage) -> None:
    storage.enqueue([])
    assert storage.stats().ready == {}


@pytest.mark.parametrize("arguments", PAYLOADS.values(), ids=PAYLOADS)
def test_arguments_and_return_values_come_back_byte_for_byte(
    storage: Storage, arguments: tuple[tuple[object, ...], dict[str, object]]
) -> None:
    body = codec.encode_call(*arguments, 10**8)
    new = job(arguments=body)
    storage.enqueue([new])
    worker = registered(storage)
    (claimed,) = storage.claim(worker, ALL, 1)
    assert claimed.arguments == body
    assert claimed == new._replace(state=State.RUNNING, claim=claimed.claim)
    storage.settle(worker, [outcomes.succeeded(claimed, worker.id, 1, 2, body)])
    found = stored(storage, new.id)
    assert found.arguments == body
    assert found.return_value == body
    assert type(found.arguments) is type(found.return_value) is bytes
    args, kwargs = codec.decode_call(found.arguments)
    assert (tuple(args), kwargs) == arguments
    assert repr(args) == repr(list(arguments[0]))


@with_processes
def test_a_job_that_is_enqueued_in_a_transaction_is_claimed_after_the_commit(store: Store) -> None:
    storage = store.storage
    worker = registered(storage)
    with transaction.atomic(STORE):
        (new,) = enqueued(storage, 0)
        assert state_of(storage, new.id) == State.READY  # the caller sees its own
        # Reading, as writing would wait for the caller's transaction.
        assert store.in_thread(lambda: storage.get_results([new.id])).result(10) == []
    assert ids(storage.claim(worker, ALL, 10)) == [new.id]


@on_databases
@pytest.mark.parametrize("number", [1, 3])
def test_jobs_are_rolled_back_with_the_transaction(storage: Storage, number: int) -> None:
    new = [job(at) for at in range(number)]
    with transaction.atomic(STORE):
        storage.enqueue(new)
        transaction.set_rollback(True, using=STORE)
    assert storage.get_results(ids(new)) == []
    assert storage.claim(registered(storage), ALL, 10) == []


@on_databases
@pytest.mark.parametrize("number", [1, 3])
def test_jobs_are_rolled_back_with_a_savepoint(storage: Storage, number: int) -> None:
    inside = [job(at) for at in range(number)]
    with transaction.atomic(STORE):
        before = enqueued(storage, 0)
        with transaction.atomic(STORE):
            storage.enqueue(inside)
            transaction.set_rollback(True, using=STORE)
        after = enqueued(storage, 1, 2)
    claimed = storage.claim(registered(storage), ALL, 10)
    assert sorted(ids(claimed)) == sorted(ids([*before, *after]))


@on_databases
def test_jobs_of_a_released_savepoint_are_kept(storage: Storage) -> None:
    with transaction.atomic(STORE), transaction.atomic(STORE):
        new = enqueued(storage, 0, 1)
    assert sorted(ids(storage.claim(registered(storage), ALL, 10))) == sorted(ids(new))


@on_databases
def test_a_cancel_is_rolled_back_with_the_transaction(storage: Storage) -> None:
    (new,) = enqueued(storage, 0)
    with transaction.atomic(STORE):
        assert storage.cancel([new.id]) == [new.id]
        transaction.set_rollback(True, using=STORE)
    assert stored(storage, new.id) == new
