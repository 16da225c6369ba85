"""pause and resume: nothing is claimed from a queue that is paused."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from mainspring.backends.storage import Storage
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State, Worker
from mainspring.core.ordering import FAIR_EVERY
from tests.contract.jobs import (
    ALL,
    START,
    claimed,
    deferred,
    enqueued,
    ids,
    registered,
    state_of,
    succeeded,
)
from tests.contract.limits import admit, held, slots, states
from tests.contract.stores import Store, on_databases


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return registered(storage)


def test_nothing_is_paused_at_first(storage: Storage) -> None:
    assert storage.find_paused() == frozenset()
    assert storage.stats().paused == []


def test_pausing_and_resuming_tell_whether_that_is_new(storage: Storage) -> None:
    assert storage.pause("mail")
    assert not storage.pause("mail")
    assert storage.pause("default")
    assert storage.find_paused() == {"mail", "default"}
    assert storage.stats().paused == ["default", "mail"]
    assert storage.resume("mail")
    assert not storage.resume("mail")
    assert storage.find_paused() == {"default"}


def test_other_processes_see_it(store: Store) -> None:
    storage, another = store.storage, store.another_process()
    enqueued(storage, 0)
    storage.pause("default")
    assert another.find_paused() == {"default"}
    assert another.claim(registered(another), ALL, 10) == []
    storage.resume("default")
    assert another.find_paused() == frozenset()
    assert len(another.claim(registered(another), ALL, 10)) == 1


def test_each_look_sees_what_there_is_then(store: Store) -> None:
    """However often it was in vain before, and whatever else was written in the meantime."""
    storage, another = store.storage, store.another_process()
    for _ in range(3):
        assert storage.find_paused() == frozenset()
        assert storage.stage(START).next_at is None
    storage.enqueue([deferred(5 * SECOND)])
    assert storage.find_paused() == frozenset()
    assert storage.stage(START).next_at == START + 5 * SECOND
    another.pause("default")
    assert storage.find_paused() == {"default"}
    another.enqueue([deferred(3 * SECOND)])
    assert storage.find_paused() == {"default"}
    assert storage.stage(START).next_at == START + 3 * SECOND
    storage.resume("default")
    assert storage.find_paused() == frozenset()
    assert storage.stage(START + 4 * SECOND).staged == 1
    assert storage.stage(START + 4 * SECOND).next_at == START + 5 * SECOND


def test_another_aliases_queues_are_paused_apart(store: Store) -> None:
    store.storage.pause("mail")
    assert store.other_alias.find_paused() == frozenset()
    assert not store.other_alias.resume("mail")
    assert store.storage.find_paused() == {"mail"}


@pytest.mark.parametrize("queues", [ALL, ("a", "*"), ("a", "b", "c"), ("b", "*", "c"), ("c", "b")])
def test_paused_queues_are_not_claimed_from(
    storage: Storage, worker: Worker, queues: tuple[str, ...]
) -> None:
    for name in "abc":
        enqueued(storage, *range(3), queue_name=name)
    storage.pause("b")
    storage.find_paused()
    found = []
    for _ in range(FAIR_EVERY):  # the fair turn leaves it out, too
        found += [one.queue_name for one in storage.claim(worker, queues, 1)]
    assert sorted(found) == (
        ["c"] * 3 if "a" not in queues and "*" not in queues else ["a"] * 3 + ["c"] * 3
    )
    storage.resume("b")
    storage.find_paused()
    assert [one.queue_name for one in storage.claim(worker, queues, 9)] == ["b"] * 3


def test_where_all_queues_are_paused_nothing_is_claimed(storage: Storage, worker: Worker) -> None:
    (taken,) = claimed(storage, worker, 0, queue_name="a")
    enqueued(storage, 1, queue_name="a")
    storage.pause("a")
    storage.find_paused()
    assert storage.claim(worker, ["a"], 10) == []
    assert storage.settle_and_claim(worker, [succeeded(taken, worker)], ["a"], 10) == ([], [])
    assert state_of(storage, taken.id) == State.SUCCESSFUL


def test_what_runs_goes_on_and_what_is_paused_can_be_cancelled(
    storage: Storage, worker: Worker
) -> None:
    running, released = claimed(storage, worker, 0, 1)
    storage.pause("default")
    storage.find_paused()
    assert storage.release(worker, [released]) == 1
    assert storage.settle(worker, [succeeded(running, worker)]) == []
    assert storage.claim(worker, ALL, 10) == []
    assert storage.cancel([released.id]) == [released.id]


def test_calls_are_enqueued_and_staged_while_paused(storage: Storage, worker: Worker) -> None:
    storage.pause("default")
    storage.find_paused()
    due = deferred(SECOND)
    storage.enqueue([due])
    storage.stage(due.available_at)
    assert state_of(storage, due.id) == State.READY
    assert storage.claim(worker, ALL, 10) == []
    storage.resume("default")
    storage.find_paused()
    assert ids(storage.claim(worker, ALL, 10)) == [due.id]


def test_what_is_paused_is_not_admitted_by_a_limit_that_others_share(storage: Storage) -> None:
    paused = held(storage, [slots(2)], *range(10, 15), queue_name="mail")
    others = held(storage, [slots(2)], *range(5))
    storage.pause("mail")
    storage.find_paused()
    assert admit(storage) == 2
    assert State.READY not in states(storage, paused)
    storage.cancel(ids(others))
    assert admit(storage) == 0
    storage.resume("mail")
    storage.find_paused()
    assert admit(storage) == 2


# The commands


def command(store: Store, *words: str, queues: tuple[str, ...] = ("default", "mail")) -> str:
    output = StringIO()
    entry = {**store.tasks["default"], "QUEUES": queues}
    with override_settings(TASKS={"default": entry, "other": entry}):
        call_command("mainspring", *words, stdout=output)
    return output.getvalue()


@on_databases
def test_the_commands_pause_and_resume(store: Store) -> None:
    said = command(store, "pause", "mail")
    assert said == (
        "Queue 'mail' of TASKS['default'] is paused: within a second, workers take nothing more "
        "from it.\n"
    )
    assert store.storage.find_paused() == {"mail"}
    assert command(store, "pause", "mail").endswith("'default'] was paused already.\n")
    said = command(store, "resume", "mail")
    assert said.endswith("is resumed: within a second, workers take from it again.\n")
    assert store.storage.find_paused() == frozenset()
    assert command(store, "resume", "mail").endswith("was not paused.\n")


@on_databases
def test_the_commands_take_a_backend(store: Store) -> None:
    command(store, "pause", "mail", "--backend=other")
    assert store.storage.find_paused() == frozenset()
    assert store.other_alias.find_paused() == {"mail"}


@on_databases
@pytest.mark.parametrize("subcommand", ["pause", "resume"])
def test_the_commands_refuse_what_is_no_queue(store: Store, subcommand: str) -> None:
    with pytest.raises(CommandError, match=r"names 'mial', which is not in .*\(default, mail\)"):
        command(store, subcommand, "mial")
    with pytest.raises(CommandError, match=r"'\*' cannot be a queue"):
        command(store, subcommand, "*", queues=())
    with pytest.raises(CommandError, match="no such alias"):
        command(store, subcommand, "mail", "--backend=no such alias")
    command(store, subcommand, "any", queues=())


def test_the_commands_refuse_a_backend_without_workers() -> None:
    with pytest.raises(CommandError, match="which has no queue that a worker could share"):
        call_command("mainspring", "pause", "mail")
