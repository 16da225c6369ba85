"""MapResult: a small handle; and the maps of ImmediateBackend, which have no store."""

import pickle
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.tasks import TaskResultStatus, default_task_backend, task_backends
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_finished
from django.test import override_settings

import mainspring
from mainspring import MapProgress, MapResult, TaskResult, task
from mainspring.backends import progress_bar
from mainspring.backends.memory import MemoryBackend
from mainspring.core import codec
from mainspring.core.jobs import State
from mainspring.exceptions import TaskNotFound
from tests.unit.tasks import add, add_soon, describe, echo, fail, keep_other

SUCCESSFUL, FAILED = TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED

seen: list[Any] = []
is_mended = False


@task
def look_at(map_id: str) -> list[Any]:
    """Look at the map that came before."""
    handle = add.get_map(map_id)
    seen.append((handle.id, handle.done))
    return []


@task
def even(number: int) -> int:
    """Return an even number."""
    if number % 2 and not is_mended:
        raise ValueError(f"{number} is odd")
    return number


@task
def refuse(left: int, right: int) -> int:
    """Fail to merge."""
    raise LookupError("cannot merge")


# The handle itself


def test_a_handle_is_small_and_does_not_change() -> None:
    handle = MapResult[int]("0" * 32, "default", add.module_path, False)
    assert sys.getsizeof(handle) < 100
    assert len(pickle.dumps(handle)) < 250
    assert pickle.loads(pickle.dumps(handle)) == handle
    with pytest.raises(AttributeError):
        handle.id = "1" * 32  # type: ignore[misc]
    with pytest.raises(AttributeError):
        handle.more = 1  # type: ignore[attr-defined]


def test_handles_are_equal_by_their_id() -> None:
    handle = MapResult[int]("0" * 32, "default", add.module_path, False)
    assert handle == MapResult[int]("0" * 32, "default", echo.module_path, True)
    assert handle != MapResult[int]("1" * 32, "default", add.module_path, False)
    assert handle != "0" * 32
    assert len({handle, MapResult[int]("0" * 32, "default", add.module_path, False)}) == 1
    assert repr(handle) == f"<MapResult {'0' * 32} of tests.unit.tasks.add>"


def test_the_task_is_imported_when_asked_for() -> None:
    assert MapResult[int]("0" * 32, "default", add.module_path, False).task == add
    assert MapResult[int]("0" * 32, "kept", add.module_path, False).task == add.using(
        backend="kept"
    )
    with pytest.raises(TaskNotFound):
        _ = MapResult[int]("0" * 32, "default", "no.such.task", False).task


def test_the_fraction_that_is_done() -> None:
    assert MapProgress(None, 10, 5, 0, 0, False).fraction is None
    assert MapProgress(10, 10, 5, 0, 0, False).fraction == 0.5
    assert MapProgress(0, 0, 0, 0, 0, True).fraction == 1.0


def test_the_public_names() -> None:
    assert {"MapResult", "MapProgress", "MapFailed"} <= set(mainspring.__all__)


# The bar


class Drawn:
    """What stands in for tqdm, and keeps what was drawn."""

    def __init__(self, **options: Any) -> None:
        self.n, self.total = options["initial"], options["total"]
        self.desc = options["desc"]
        self.said: dict[str, str] = {}
        self.drawn: list[tuple[int, int | None, dict[str, str]]] = []
        self.is_closed = False

    def set_postfix(self, said: dict[str, str], refresh: bool) -> None:
        self.said = said

    def update(self, more: int) -> bool:
        self.n += more
        return False

    def refresh(self) -> None:
        self.drawn.append((self.n, self.total, self.said))

    def close(self) -> None:
        self.is_closed = True


def test_the_bar_shows_how_far_the_map_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.auto.tqdm", Drawn)
    monkeypatch.setattr(progress_bar, "_PAUSE", 0)
    monkeypatch.setattr(progress_bar, "_SHARE", 0)
    looks = iter(
        [
            MapProgress(None, 20, 5, 0, 1, False),
            MapProgress(30, 30, 20, 2, 1, False),
            MapProgress(30, 30, 30, 2, 0, False),
            MapProgress(30, 30, 30, 2, 0, True),
        ]
    )
    with progress_bar.ProgressBar("a.b.c", lambda: next(looks)) as bar:
        assert [bar.show(), bar.show(), bar.show()] == [False, False, True]
    drawn: Drawn = bar._bar
    assert drawn.desc == "c"
    assert drawn.drawn == [
        (5, None, {}),
        (20, 30, {"failed": "2"}),
        (30, 30, {"failed": "2", "now": "reducing"}),
        (30, 30, {"failed": "2"}),
    ]
    assert drawn.is_closed


def test_the_bar_is_not_drawn_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.auto.tqdm", Drawn)
    looks = iter([MapProgress(9, 9, i, 0, 1, False) for i in range(3)])
    with progress_bar.ProgressBar("a.b.c", lambda: next(looks)) as bar:
        for _ in range(10):
            bar.show()
    assert len(bar._bar.drawn) == 2


# Memory


class UnworkedBackend(MemoryBackend):
    """Keeps maps in memory, and others run them, if anybody."""

    supports_worker = True


@pytest.fixture
def in_memory() -> Iterator[None]:
    """A backend whose calls have all been made, by nobody."""
    entry = {"BACKEND": f"{__name__}.UnworkedBackend", "QUEUES": []}
    kept = {"BACKEND": "tests.unit.backends.KeptBackend"}
    with override_settings(TASKS={"default": entry, "kept": kept}):
        yield


def _settle(handle: MapResult[Any]) -> None:
    storage: Any = task_backends["default"].storage  # type: ignore[attr-defined]
    for job in storage.read_rows(handle.id, 0, 10_000):
        storage._jobs[job.id] = job._replace(
            state=State.SUCCESSFUL, return_value=job.arguments, worker_ids=b'["w"]', finished_at=1
        )
    storage.finish_map(handle.id, 1)


@pytest.mark.parametrize("read", [iter, lambda handle: handle.values()], ids=["results", "values"])
@pytest.mark.usefixtures("in_memory")
def test_reading_holds_a_few_rows(read: Callable[[MapResult[Any]], Iterator[Any]]) -> None:
    handle = add.map(range(200_000))
    _settle(handle)
    tracemalloc.start()
    try:
        number = sum(1 for _ in read(handle))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert number == 200_000
    assert peak < 4_000_000


# ImmediateBackend


def test_an_immediate_map_has_finished() -> None:
    handle = add.map(range(5), reduce=add)
    assert handle.wait(progress=True).progress == (5, 5, 5, 0, 0, True)
    assert (handle.total, handle.done, handle.is_finished, len(handle)) == (5, 5, True, 5)
    assert list(handle.values()) == [0, 1, 2, 3, 4]
    assert [(result.id, result.args) for result in handle] == [
        (f"{handle.id}:{i}", [i]) for i in range(5)
    ]
    assert handle[-1].return_value == 4
    with pytest.raises(IndexError):
        _ = handle[5]
    assert (handle.result.return_value, handle.result.task) == (10, add)
    assert handle.cancel() == 0


def test_immediate_maps_of_every_kind_of_task() -> None:
    assert list(add.starmap([(1, 2), [3]]).values()) == [3, 3]
    assert list(add_soon.starmap([(1, 2)]).values()) == [3]
    (described,) = describe.map([7]).values()
    assert (described["a"], described["id"].partition(":")[2]) == (7, "0")


def test_immediate_calls_that_fail() -> None:
    global is_mended
    is_mended = False
    handle = even.map(range(6), reduce=add)
    assert (handle.failed, [result.args for result in handle.errors()]) == (3, [[1], [3], [5]])
    assert list(handle.values(skip_failed=True)) == [0, 2, 4]
    with pytest.raises(ValueError, match=f"Call {handle.id}:1 failed: ValueError: 1 is odd"):
        list(handle.values())
    assert handle.result.status == FAILED
    assert "3 calls failed" in handle.result.errors[0].traceback
    assert even.map(range(6), reduce=add, on_error="skip").result.return_value == 6
    is_mended = True
    assert handle.retry_failed() == 3
    assert handle.result.return_value == 15
    assert handle.retry_failed() == 0


def test_immediate_merges_that_fail_or_have_nothing() -> None:
    result = add.map(range(3), reduce=refuse).result
    assert (result.status, result.errors[0].exception_class) == (FAILED, LookupError)
    assert add.map([], reduce=add).result.status == FAILED
    assert add.map([7], reduce=refuse).result.return_value == 7


def test_what_follows_an_immediate_map_finds_it() -> None:
    seen.clear()
    handle = add.map(range(3), then=look_at)
    assert seen == [(handle.id, 3)]
    assert add.get_map(handle.id) is handle
    assert default_task_backend.get_map(handle.id) is handle
    map_id = handle.id
    del handle
    with pytest.raises(TaskResultDoesNotExist):
        add.get_map(map_id)


def test_an_immediate_handle_is_pickled_with_its_results() -> None:
    handle = add.map(range(3))
    same = pickle.loads(pickle.dumps(handle))
    assert (same, list(same.values())) == (handle, [0, 1, 2])


def test_immediate_maps_from_async_code() -> None:
    async def numbers() -> AsyncIterator[int]:
        for i in range(3):
            yield i

    async def use() -> None:
        handle = await add.amap(numbers(), reduce=add)
        assert (await handle).id == handle.id
        assert [result.return_value async for result in handle] == [0, 1, 2]
        assert (await handle.aresult()).return_value == 3
        assert list((await add.astarmap([(1, 2)])).values()) == [3]

    async_to_sync(use)()


def test_immediate_items_that_are_refused() -> None:
    with pytest.raises(TypeError, match="which is not JSON") as raised:
        add.map([1, object()])
    assert raised.value.__notes__ == ["In item 1 (counted from 0) of the map."]
    with pytest.raises(TypeError, match="list or tuple"):
        add.starmap([1])
    with pytest.raises(ValueError, match="own backend"):
        add.map([1], reduce=keep_other)


def test_immediate_calls_are_told() -> None:
    told: list[str] = []

    def receive(task_result: TaskResult[Any], **_: Any) -> None:
        told.append(task_result.id)

    task_finished.connect(receive)
    try:
        handle = fail.map(["a", "b"])
    finally:
        task_finished.disconnect(receive)
    assert told == [f"{handle.id}:0", f"{handle.id}:1"]
    assert codec.decode(handle[0].arguments) == [["a"], {}]
