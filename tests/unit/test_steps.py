"""A coroutine that is run step by step, in which any error can be raised."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from mainspring import TaskCancelled, TaskTimeout
from mainspring.runtime.steps import Steps

LONG = 60  # seconds; no test waits for it


def run(
    work: Callable[[], Coroutine[Any, Any, Any]],
    tell: BaseException | None = None,
    beside: Callable[[Steps], None] | None = None,
) -> Any:
    """Run a coroutine in steps; tell it something as soon as it waits."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        steps = Steps(work(), lambda: None)
        if tell is not None:
            loop.call_soon(loop.call_soon, loop.call_soon, steps.tell, tell)
        if beside is not None:
            beside(steps)
        return await steps

    return asyncio.run(main())


def where(error: BaseException) -> str:
    """The function in which an error was raised last, of those in this file."""
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found = code.co_name if code.co_filename == __file__ else found
        traceback = traceback.tb_next
    return found


def test_what_it_returns_is_returned() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    assert run(work) == 5


def test_what_it_raises_is_raised() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(work)


def test_what_it_waits_for_may_fail_and_it_may_handle_that() -> None:
    async def work() -> str:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, LookupError("gone"))
        try:
            await future
        except LookupError as error:
            return str(error)
        return ""

    assert run(work) == "gone"


def test_each_step_is_told_before_it_is_taken() -> None:
    told: list[str] = []

    async def work() -> None:
        for _ in range(3):
            told.append("work")
            await asyncio.sleep(0)

    async def main() -> None:
        await Steps(work(), lambda: told.append("step"))

    asyncio.run(main())
    assert told == ["step", "work"] * 3 + ["step"]


def test_an_error_is_raised_where_it_waits() -> None:
    async def inner() -> None:
        await asyncio.sleep(LONG)

    async def work() -> None:
        await inner()

    with pytest.raises(TaskTimeout, match="too long") as caught:
        run(work, TaskTimeout("too long"))
    assert where(caught.value) == "inner"


def test_it_can_clean_up_and_go_on() -> None:
    done: list[str] = []

    async def work() -> str:
        try:
            await asyncio.sleep(LONG)
        except TaskTimeout as error:
            await asyncio.sleep(0)
            done.append(str(error))
        finally:
            await asyncio.sleep(0)
            done.append("finally")
        return "in time after all"

    assert run(work, TaskTimeout("too long")) == "in time after all"
    assert done == ["too long", "finally"]


def test_it_can_be_told_by_another_thread() -> None:
    def beside(steps: Steps) -> None:
        threading.Thread(target=steps.tell, args=(TaskCancelled("gone"),)).start()

    async def work() -> None:
        await asyncio.sleep(LONG)

    with pytest.raises(TaskCancelled, match="gone"):
        run(work, beside=beside)


def test_the_class_is_known_by_its_own_name() -> None:
    async def work() -> None:
        await asyncio.sleep(LONG)

    with pytest.raises(TaskTimeout) as caught:
        run(work, TaskTimeout("too long"))
    kind = type(caught.value)
    assert (kind.__module__, kind.__qualname__) == ("mainspring.exceptions", "TaskTimeout")


def test_the_tasks_of_a_group_end_as_well() -> None:
    ended: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.append(name)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child("a"))
            async with asyncio.TaskGroup() as nested:
                nested.create_task(child("b"))

    with pytest.raises(TaskTimeout, match="too long") as caught:
        run(work, TaskTimeout("too long"))
    assert sorted(ended) == ["a", "b"]
    assert where(caught.value) == "work"


def test_an_error_raised_in_the_body_of_a_group_stays_what_it_is() -> None:
    ended: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.append("child")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(LONG)

    with pytest.raises(TaskTimeout, match="too long"):
        run(work, TaskTimeout("too long"))
    assert ended == ["child"]


def test_an_error_of_another_task_of_the_group_is_not_hidden() -> None:
    async def child() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            raise ValueError("its own")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(LONG)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(work, TaskTimeout("too long"))
    assert caught.group_contains(ValueError, match="its own")


def test_what_is_gathered_ends_as_well() -> None:
    ended: list[int] = []

    async def child(number: int) -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.append(number)

    async def work() -> None:
        await asyncio.gather(*map(child, range(3)))

    with pytest.raises(TaskTimeout, match="too long"):
        run(work, TaskTimeout("too long"))
    assert sorted(ended) == [0, 1, 2]


def test_what_turns_it_into_a_cancellation_does_not_hide_it() -> None:
    """As the adapters between sync and async do: they wait in another task."""

    async def work() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            raise asyncio.CancelledError from None

    with pytest.raises(TaskTimeout, match="too long"):
        run(work, TaskTimeout("too long"))


def test_a_wait_for_a_thread_ends_as_well() -> None:
    released = threading.Event()

    async def work() -> None:
        try:
            await sync_to_async(released.wait, thread_sensitive=False)(LONG)
        finally:
            released.set()

    with pytest.raises(TaskTimeout, match="too long"):
        run(work, TaskTimeout("too long"))


def test_timeouts_inside_still_work() -> None:
    async def work() -> str:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(LONG)
        assert not isinstance(caught.value, TaskTimeout)
        await asyncio.sleep(0)
        return "its own"

    assert run(work) == "its own"


def test_wait_for_inside_still_works() -> None:
    async def work() -> str:
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(asyncio.sleep(LONG), 0.001)
        assert not isinstance(caught.value, TaskTimeout)
        return "its own"

    assert run(work) == "its own"


def test_a_timeout_inside_that_lasts_longer_does_not_hide_it() -> None:
    async def work() -> None:
        async with asyncio.timeout(LONG):
            await asyncio.sleep(LONG)

    with pytest.raises(TaskTimeout, match="too long"):
        run(work, TaskTimeout("too long"))


def test_a_timeout_inside_works_after_it_was_told() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(LONG)
        except TaskTimeout:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(LONG)
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        return "cleaned up"

    assert run(work, TaskTimeout("too long")) == "cleaned up"


def test_a_plain_cancel_is_a_cancelled_error() -> None:
    def beside(steps: Steps) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)

    async def work() -> None:
        with pytest.raises(asyncio.CancelledError) as caught:
            await asyncio.sleep(LONG)
        assert not isinstance(caught.value, TaskTimeout | TaskCancelled)
        raise caught.value

    with pytest.raises(asyncio.CancelledError):
        run(work, beside=beside)


def test_a_task_that_cancels_itself_is_cancelled() -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(LONG)

    with pytest.raises(asyncio.CancelledError):
        run(work)


def test_what_is_told_too_late_is_not_raised() -> None:
    async def work() -> int:
        return 5

    async def main() -> tuple[int, int]:
        steps = Steps(work(), lambda: None)
        value = await steps
        steps.tell(TaskTimeout("too long"))
        await asyncio.sleep(0.001)  # here it would be raised
        current = asyncio.current_task()
        assert current is not None
        return value, current.cancelling()

    assert asyncio.run(main()) == (5, 0)


def test_what_is_told_as_it_ends_is_not_raised() -> None:
    """Told by another thread while the last step runs, and heard of after it."""

    async def main() -> int:
        async def work() -> int:
            steps.tell(TaskTimeout("too long"))
            return 5

        steps = Steps(work(), lambda: None)
        value: int = await steps
        await asyncio.sleep(0.001)
        return value

    assert asyncio.run(main()) == 5


def test_a_coroutine_that_is_closed_half_way_cleans_up() -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            done.append("finally")

    async def main() -> None:
        running = Steps(work(), lambda: None).__await__()
        next(running)
        running.close()

    asyncio.run(main())
    assert done == ["finally"]


def told_twice(steps: Steps, pause: float = 0.05) -> None:
    """Tell a coroutine to end twice, with a pause in between."""
    loop = asyncio.get_running_loop()
    loop.call_later(pause, steps.tell, TaskTimeout("once"))
    loop.call_later(2 * pause, steps.tell, TaskTimeout("again"))


def test_what_has_swallowed_it_is_told_again() -> None:
    async def work() -> None:
        with suppress(OSError):
            await asyncio.sleep(LONG)
        await asyncio.sleep(LONG)

    with pytest.raises(TaskTimeout, match="again"):
        run(work, beside=told_twice)


def test_what_still_handles_it_is_not_told_again() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.2)
            done.append("cleaned up")

    done: list[str] = []
    with pytest.raises(TaskTimeout, match="once"):
        run(work, beside=told_twice)
    assert done == ["cleaned up"]
