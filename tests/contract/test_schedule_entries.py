"""Entries: schedules that people add to the database, of tasks that the code exposes."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from mainspring.backends.database.models import ScheduleEntry, ScheduleState
from mainspring.core.entries import Entry
from tests.contract import tasks
from tests.contract.jobs import ALL, registered
from tests.contract.stores import Kind, Store, Stores, on_databases

pytestmark = on_databases

OPTIONS = {
    "EXPOSED_TASKS": {"Sum": "tests.contract.tasks.add", "Gone": "tests.contract.tasks.gone"},
    "SCHEDULES": {"nightly": {"task": "tests.contract.tasks.echo", "cron": "0 3 * * *"}},
}


@pytest.fixture
def store(stores: Stores, kind: Kind, tmp_path: Path) -> Iterator[Store]:
    """A new and empty store, whose settings expose a task."""
    with stores.open(kind, tmp_path, **OPTIONS) as opened:
        yield opened


def added(name: str = "e", **changes: Any) -> ScheduleEntry:
    """Add an entry, as the admin does."""
    given = {"task": "Sum", "cron": "0 8 * * MON-FRI", "args": "[1, 2]", **changes}
    entry = ScheduleEntry(name=name, **given)
    entry.full_clean()
    entry.save()
    return entry


def test_an_entry_is_read_as_it_was_added(store: Store) -> None:
    first = added('é "%s" \\', timezone="Europe/Berlin", priority=5, jitter=7)
    second = added("second", cron="", every=90, kwargs="{}", catch_up="all", overlap="skip")
    plain = Entry("second", "Sum", "", 90, "", "[1, 2]", "{}", "", None, 0, "all", "skip")
    assert [one._replace(changed_at=0) for one in store.storage.read_entries()] == [
        plain,
        plain._replace(
            name=first.name,
            cron="0 8 * * MON-FRI",
            every=None,
            timezone="Europe/Berlin",
            priority=5,
            jitter=7,
            catch_up="latest",
            overlap="queue",
        ),
    ]
    assert {one.as_entry() for one in (first, second)} == {
        one._replace(changed_at=0) for one in store.storage.read_entries()
    }


def test_the_mark_changes_with_the_entries(store: Store) -> None:
    marks = [store.storage.entries_mark()]

    def note() -> None:
        marks.append(store.storage.entries_mark())

    one = added("one")
    note()
    two = added("two")
    note()
    one.jitter = 5
    one.save(update_fields=["jitter"])
    note()
    two.is_enabled = False
    two.save()
    note()
    one.delete()
    note()
    assert marks[-1] == marks[0]  # nothing is enabled, as in the beginning
    assert len({str(mark) for mark in marks[:-1]}) == len(marks) - 1
    assert store.storage.read_entries() == []
    assert store.another_process().entries_mark() == marks[-1]


def test_a_change_is_later_than_the_last_one_whatever_the_clock_says(store: Store) -> None:
    one = added("one")
    ahead = one.changed_at + timedelta(hours=1)
    ScheduleEntry.objects.update(changed_at=ahead)
    one = ScheduleEntry.objects.get()
    one.save()
    one.refresh_from_db()
    assert one.changed_at > ahead


def test_entries_of_another_alias_are_apart(store: Store) -> None:
    added("one")
    assert store.other_alias.read_entries() == []


def test_a_name_is_taken_once_and_compared_byte_by_byte(store: Store) -> None:
    added("one")
    added("One")
    with pytest.raises(ValidationError, match="already exists"):
        added("one")
    with pytest.raises(IntegrityError), transaction.atomic("store"):
        ScheduleEntry(name="one", task="Sum", every=9).save()
    assert {one.name for one in store.storage.read_entries()} == {"one", "One"}


@pytest.mark.parametrize(
    ("field", "changes", "said"),
    [
        ("cron", {"cron": "0 8 * *"}, "five fields"),
        ("cron", {"cron": "0 0 31 2 *"}, "can never fire"),
        ("cron", {"cron": ""}, "Give either"),
        ("cron", {"every": 5}, "Give either"),
        ("every", {"cron": "", "every": 0}, "from a second to ten years"),
        ("timezone", {"timezone": "Europe/Nowhere"}, "no time zone"),
        ("timezone", {"cron": "", "every": 5, "timezone": "UTC"}, "no time zone"),
        ("task", {"task": "tests.contract.tasks.add"}, "EXPOSED_TASKS"),
        ("task", {"task": "Gone"}, "declares no task"),
        ("args", {"args": "[1"}, "must be JSON"),
        ("args", {"args": "{}"}, "must be a list"),
        ("args", {"args": "[1, 2, 3]"}, "too many positional"),
        ("kwargs", {"kwargs": "[]"}, "must be an object"),
        ("args", {"kwargs": '{"c": 1}'}, "unexpected keyword"),
        ("priority", {"priority": 101}, "priority must be"),
        ("jitter", {"jitter": 367 * 86400}, "jitter must be"),
        ("queue_name", {"queue_name": "x" * 64 + "y"}, "at most 64"),
        ("name", {"name": "nightly"}, "has this name"),
        ("name", {"name": "a\nb"}, "name must be"),
        ("backend", {"backend": "unknown"}, "unknown"),
        ("catch_up", {"catch_up": "never"}, "not a valid choice"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_field(
    store: Store, field: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        added(**{"name": "e", **changes})
    assert list(raised.value.message_dict) == [field]
    assert said in str(raised.value)


# The command


def command(*words: str) -> str:
    output = StringIO()
    call_command("mainspring", "schedules", *words, stdout=output)
    return output.getvalue()


def test_the_command_lists_schedules(store: Store) -> None:
    added("added", cron="", every=90)
    ScheduleEntry(name="wrong", task="Sum", cron="no").save()
    left_out, *lines = command().splitlines()
    assert left_out.startswith("Left out: The schedule 'wrong' that was added: expression")
    # Other tests of this process may have declared schedules of their own.
    rows = {line.split()[0]: line for line in lines if not line.startswith("tests.unit.")}
    assert list(rows) == ["NAME", "added", "nightly", "Times"]
    # They make columns wider, too.
    assert " tests.contract.tasks.echo 0 3 * * * " in " ".join(rows["nightly"].split())
    assert " tests.contract.tasks.add every 90 seconds - " in " ".join(rows["added"].split())
    assert rows["nightly"].endswith("03:00:00")


def test_the_command_runs_a_schedule_now(store: Store) -> None:
    added("added")
    said = command("run", "added")
    (job,) = store.storage.claim(registered(store.storage), ALL, 10)
    assert said == f"{tasks.add.module_path} is enqueued as {job.id}.\n"
    assert job.metadata is None


def test_the_command_pauses_and_resumes(store: Store) -> None:
    said = command("pause", "nightly")
    assert said.startswith("Schedule 'nightly' of TASKS['default'] is paused")
    assert command("pause", "nightly").endswith("was paused already.\n")
    assert ScheduleState.objects.get().is_paused
    assert "paused" in command()
    assert "is resumed; its next tick: 2" in command("resume", "nightly")
    assert command("resume", "nightly").endswith("was not paused.\n")


def test_the_command_takes_a_backend(store: Store) -> None:
    left_out, said = command("--backend=other").splitlines()
    assert "is a task of the backend 'default'" in left_out
    assert said == "TASKS['other'] has no schedules."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause"], "Which one"),
        (["run", "nightyl"], "did you mean 'nightly'?"),
        (["resume", "something else"], "'mainspring schedules' lists them"),
        (["pause", "x", "--backend=unknown"], "unknown"),
        (["stop", "nightly"], "invalid choice"),
    ],
)
def test_the_command_says_what_is_wrong(store: Store, words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        command(*words)
