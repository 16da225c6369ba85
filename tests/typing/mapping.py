"""What a type checker makes of maps and their handles. Checked by mypy, never executed."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from tests.typing.declaring import add, fetch, send

from mainspring import MapProgress, MapResult, Task, TaskResult


def a_map_gives_a_handle_on_what_the_task_returns() -> None:
    assert_type(add.map([1, 2]), MapResult[int])
    assert_type(add.map(number for number in range(10)), MapResult[int])
    assert_type(add.starmap([(1, 2), [3, 4]]), MapResult[int])
    assert_type(add.map([1], reduce=add, on_error="skip", then=send), MapResult[int])
    assert_type(fetch.map(["https://example.com"]), MapResult[list[str]])
    add.map(7)  # type: ignore[arg-type]
    add.starmap([1, 2])  # type: ignore[list-item]
    add.map([1], on_error="ignore")  # type: ignore[arg-type]
    add.map([1], reduce=len)  # type: ignore[arg-type]


async def maps_are_there_for_async_code(items: AsyncIterator[int]) -> None:
    assert_type(await add.amap([1, 2]), MapResult[int])
    assert_type(await add.amap(items), MapResult[int])
    assert_type(await add.astarmap([(1, 2)]), MapResult[int])
    handle = await add.aget_map("id")
    assert_type(await handle, MapResult[int])
    assert_type(await handle.await_result(timeout=5), MapResult[int])
    assert_type(await handle.aprogress(), MapProgress)
    assert_type(await handle.acancel(), int)
    assert_type(await handle.aretry_failed(), int)
    async for result in handle:
        assert_type(result, TaskResult[int])


def handles_give_results_and_values(handle: MapResult[int]) -> None:
    assert_type(add.get_map(handle.id), MapResult[int])
    assert_type(handle.wait(timeout=5, progress=True), MapResult[int])
    assert_type(handle[0], TaskResult[int])
    assert_type(handle[-1].return_value, int)
    assert_type(len(handle), int)
    assert_type(list(handle), list[TaskResult[int]])
    assert_type(handle.values(), Iterator[int])
    assert_type(handle.errors(), Iterator[TaskResult[int]])
    assert_type(handle.task, Task[..., int])
    assert_type(handle.total, int | None)
    assert_type(handle.done, int)
    assert_type(handle.progress.fraction, float | None)
    assert_type(handle.retry_failed(), int)
    assert_type(handle.cancel(), int)
