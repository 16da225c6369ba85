"""Names of queues, and ids: one rule, whatever the store makes of strange strings."""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.core.management.base import CommandError
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist

from mainspring import MapResult
from mainspring.backends import mapping
from mainspring.core.chunks import merge_id, row_id
from mainspring.core.ids import new_id
from tests.contract.jobs import ALL, ids, registered
from tests.contract.map_hands import Hands
from tests.contract.stores import Store, on_databases
from tests.contract.tasks import add, by_django, echo

BAD_NAMES = ["*", "", "q" * 65, "mail,default", "ma\0il", "mail\ud800", "\udfff"]
BAD_QUEUES: list[Any] = [*BAD_NAMES, b"mail", 5, ["mail"]]
GOOD_QUEUES = ["q" * 64, "é" * 64, "🐎" * 64, "**", " ", "Mail", "mail", "'; --", "%s", "\n"]


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(mapping, "start_embedded_worker", lambda alias: None)


def test_what_cannot_be_a_queue_is_refused_before_anything_is_stored(store: Store) -> None:
    for name in BAD_QUEUES:
        assert_refused(name)
    assert store.storage.stats().ready == {}


def assert_refused(name: Any) -> None:
    with pytest.raises(InvalidTask, match=r"^Queue .* a queue name is a string of 1 to 64"):
        add.using(queue_name=name)
    copy = add.using(priority=1)
    with pytest.raises(InvalidTask, match="is not valid for backend"):
        copy.update(queue_name=name)
    with pytest.raises(InvalidTask, match="is not valid for backend"):
        copy.queue_name = name
    assert copy == add.using(priority=1)
    object.__setattr__(copy, "queue_name", name)
    object.__setattr__(copy, "_valid_by", None)
    with pytest.raises(InvalidTask, match="is not valid for backend"):
        copy.enqueue(1)
    if isinstance(name, str):
        with pytest.raises(InvalidTask, match="is not valid for backend"):
            by_django.using(queue_name=name).enqueue(1)


def test_whatever_else_is_a_queue(store: Store) -> None:
    found = {name: add.using(queue_name=name).enqueue(1) for name in GOOD_QUEUES}
    assert store.storage.stats().ready == dict.fromkeys(GOOD_QUEUES, 1)
    worker = registered(store.storage)
    for name, result in found.items():
        assert result.refresh().queue_name == name
        assert ids(store.storage.claim(worker, [name], 10)) == [result.id]


def test_each_queue_is_paused_by_itself(store: Store) -> None:
    for paused, name in enumerate(GOOD_QUEUES, 1):
        assert store.storage.pause(name)
        assert store.storage.find_paused() == {*GOOD_QUEUES[:paused]}
    for resumed, name in enumerate(GOOD_QUEUES, 1):
        assert store.storage.resume(name)
        assert store.storage.find_paused() == {*GOOD_QUEUES[resumed:]}


@on_databases
def test_commands_refuse_what_cannot_be_a_queue(store: Store) -> None:
    for name in BAD_NAMES:
        for subcommand in ("pause", "resume"):
            with pytest.raises(CommandError, match="cannot be a queue: a queue name is a string"):
                call_command("mainspring", subcommand, name)
    for name in ("", "q" * 65, "ma\0il", "mail\ud800"):
        with pytest.raises(CommandError, match="queue name"):
            call_command("mainspring", "worker", f"--queues=default,{name}")


def test_only_what_is_written_as_an_id_is_one(store: Store) -> None:
    result = add.enqueue(1)
    known = result.id.replace("0", "f", 1)  # there is an f to be replaced
    strange: list[Any] = [
        "\ud800",
        "\ud800" * 32,
        "\0",
        f"{result.id}\0",
        "é" * 32,
        "é" * 32 + ":0",
        known.replace("f", "\f", 1),
        result.id.upper(),
        result.id.title(),
        f" {result.id}",
        f"{result.id} ",
        f"{result.id}\n",
        f"{result.id[:8]}-{result.id[8:]}",
        result.id[:-1],
        f"{result.id}0",
        "٣" * 32,
        f"{result.id}:",
        f"{result.id}:0",
        f":{result.id}",
        result.id.encode(),
        None,
        7,
    ]
    for one in strange:
        assert_unknown(store, one)
    assert tuple(store.backend.get_result(result.id)) == tuple(result)
    assert result.cancel()


def assert_unknown(store: Store, strange: Any) -> None:
    backend = store.backend
    for ask in (backend.get_result, add.get_result, echo.get_result, backend.get_map, add.get_map):
        with pytest.raises(TaskResultDoesNotExist):
            ask(strange)
    for aask in (backend.aget_result, add.aget_result, backend.aget_map, add.aget_map):
        with pytest.raises(TaskResultDoesNotExist):
            async_to_sync(aask)(strange)  # type: ignore[arg-type]
    if isinstance(strange, str):
        with pytest.raises(TaskResultDoesNotExist):
            backend.cancel_result(strange)
        with pytest.raises(TaskResultDoesNotExist):
            backend.wait_for_result(strange, 0)


def test_each_call_of_a_map_has_one_id(store: Store) -> None:
    mapped = echo.map(range(10))
    last = mapped[9]
    assert last.id == f"{mapped.id}:9"
    assert tuple(store.backend.get_result(last.id)) == tuple(last)
    for index in (
        *(
            "09",
            "+9",
            "9 ",
            " 9",
            "9\n",
            "9.0",
            "-1",
            "٩",
            "\uff19",
            "9" * 11,
            "9" * 12,
            "1_0",
            "0x9",
        ),
        *("", ":9", "9:", "\ud800", "\0", "9\0", "10", "99", "None"),
    ):
        assert_unknown(store, f"{mapped.id}:{index}")
    assert_unknown(store, f"{mapped.id.upper()}:9" if not mapped.id.isdecimal() else "x:9")
    assert_unknown(store, f"{new_id(0)}:9")
    assert_unknown(store, f"{mapped.id[:-1]}:9")


def test_a_row_is_no_result(store: Store) -> None:
    mapped = echo.map(range(10))
    rows = [job_id for job_id, _ in store.storage.rows_in(mapped.id, [1], 10)]
    assert row_id(mapped.id, 0) in rows
    for one in rows:
        assert_unknown(store, one)
    assert_unknown(store, mapped.id[:20] + "0" * 11)
    assert mapped.progress.done == 0


def test_what_a_map_is_reduced_to_is_a_result(store: Store) -> None:
    mapped = add.map(range(10), reduce=add)
    Hands(store).run_all()
    reduced = mapped.result
    assert reduced.id.startswith(merge_id(mapped.id, 1, 0)[:21])
    assert tuple(store.backend.get_result(reduced.id)) == tuple(reduced)
    assert not reduced.cancel()


def test_the_handle_on_a_map_that_cannot_be(store: Store) -> None:
    for map_id in ("\ud800", "\0", "é" * 32, "", "X" * 32):
        assert_no_map(map_id)
    assert store.storage.claim(registered(store.storage), ALL, 10) == []


def assert_no_map(map_id: str) -> None:
    mapped: MapResult[Any] = MapResult(map_id, "default", echo.module_path, False)
    for look in (
        lambda: mapped.progress,
        lambda: mapped.wait(0),
        lambda: list(mapped),
        lambda: list(mapped.values(0)),
        lambda: list(mapped.errors()),
        lambda: mapped[0],
        lambda: len(mapped),
        mapped.retry_failed,
        mapped.cancel,
        async_to_sync(mapped.aprogress),
    ):
        with pytest.raises(TaskResultDoesNotExist):
            look()
