"""Tells running tasks to end: in a thread, in the main thread, in an event loop."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mainspring import TaskCancelled, TaskTimeout
from mainspring.runtime import guard as guard_module
from mainspring.runtime.board import Board, NoBoard, ticks
from mainspring.runtime.guard import Guard
from mainspring.runtime.steps import Steps
from tests.contract.jobs import job

SHORT = 1_000  # microseconds
LONG = 60_000_000


@pytest.fixture
def guard() -> Iterator[Guard]:
    """A guard whose thread runs."""
    made = Guard(NoBoard())
    made.start()
    yield made
    made.stop()


def in_thread(call: Callable[[], Any]) -> Any:
    """Return what a call returned, or raise what it raised, in a thread of a pool."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append((call(), None))
        except BaseException as error:
            ended.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert ended, "the thread has not ended"
    ((value, error),) = ended
    if error is not None:
        raise error
    return value


def spin() -> None:
    while True:
        pass


# In a thread


def test_what_runs_too_long_is_told_in_the_middle_of_python_code(guard: Guard) -> None:
    one = job()

    def run() -> Any:
        guard.enter(one, ticks(), SHORT)
        with pytest.raises(TaskTimeout):
            spin()
        return guard.leave(one.id)

    told = in_thread(run)
    assert isinstance(told, TaskTimeout)
    assert str(told) == "The call took longer than 0.001 s."


def test_what_has_no_timeout_or_a_longer_one_runs_on(guard: Guard) -> None:
    def run(timeout: int) -> Any:
        one, other = job(), job()
        guard.enter(one, ticks(), timeout)
        guard.enter(other, ticks(), SHORT, lambda error: over.set())
        over = threading.Event()
        assert over.wait(10)  # the guard has looked
        guard.leave(other.id)
        return guard.leave(one.id)

    for timeout in (0, LONG):
        assert in_thread(lambda timeout=timeout: run(timeout)) is None  # type: ignore[misc]


def test_a_call_is_told_once(guard: Guard) -> None:
    """What it is told while it cleans up would come out of nowhere."""
    one = job()

    def run() -> Any:
        guard.enter(one, ticks(), LONG)
        began.set()
        try:
            spin()
        except TaskCancelled:
            told.set()
            assert again.wait(10)
            for _ in range(10_000):
                pass
        return guard.leave(one.id)

    began, told, again = threading.Event(), threading.Event(), threading.Event()

    def cancel() -> None:
        assert began.wait(10)
        guard.cancel(one.id)
        assert told.wait(10)
        guard.cancel(one.id)
        again.set()

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    assert isinstance(in_thread(run), TaskCancelled)
    cancelling.join()


def test_what_has_swallowed_it_is_told_again() -> None:
    guard, one = Guard(NoBoard(), grace=100_000), job()
    guard.start()

    def run() -> int:
        guard.enter(one, ticks(), SHORT)
        told = 0
        while told < 3:
            with suppress(OSError):  # a TaskTimeout is one
                spin()
            told += 1
        assert isinstance(guard.leave(one.id), TaskTimeout)
        return told

    assert in_thread(run) == 3
    guard.stop()
    assert guard.told == {}


def test_what_must_not_be_left_half_done_is_spared(guard: Guard) -> None:
    one, began, told = job(), threading.Event(), threading.Event()
    done: list[str] = []

    def run() -> Any:
        guard.enter(one, ticks(), LONG)
        with pytest.raises(TaskCancelled, match="cancelled"):
            save()
        assert done == ["saved"]
        return guard.leave(one.id)

    def save() -> None:
        with guard.sparing(one.id):
            began.set()
            assert told.wait(10)
            for _ in range(10_000):
                pass
            done.append("saved")

    def cancel() -> None:
        assert began.wait(10)
        with guard.sparing(one.id):  # beside the call, which does not concern it
            guard.cancel(one.id)
        told.set()

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    assert isinstance(in_thread(run), TaskCancelled)
    cancelling.join()
    assert guard.told == {}


def test_nothing_is_raised_once_a_call_has_left(guard: Guard) -> None:
    """Also where it is told at the very moment at which it ends."""
    current = [job()]
    number = 10_000

    def run() -> tuple[int, int]:
        raised = told = 0
        for _ in range(number):
            one = job()
            try:
                try:
                    guard.enter(one, ticks(), LONG)
                    current[0] = one
                    for _ in range(200):
                        pass
                finally:
                    heard = guard.leave(one.id)
            except TaskCancelled:
                raised += 1
                heard = guard.leave(one.id) or TaskCancelled()
            told += heard is not None
            for _ in range(200):  # whatever is raised here, nobody expects
                pass
        return raised, told

    is_over = threading.Event()

    def cancel() -> None:
        while not is_over.is_set():
            guard.cancel(current[0].id)

    cancelling = threading.Thread(target=cancel)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that it comes at every place that there is
    cancelling.start()
    try:
        raised, told = in_thread(run)
    finally:
        is_over.set()
        cancelling.join()
        sys.setswitchinterval(interval)
    assert 0 < raised <= told <= number
    assert guard.running == guard.told == {}


def test_who_has_left_is_not_told(guard: Guard) -> None:
    one = job()
    guard.enter(one, ticks(), LONG)
    assert guard.leave(one.id) is None
    guard.cancel(one.id)
    guard.cancel("f" * 32)
    assert guard.leave(one.id) is None
    assert guard.told == {}


# In the event loop


def test_an_async_call_is_told_by_its_own_means(guard: Guard) -> None:
    one, heard, told = job(), list[BaseException](), threading.Event()

    def tell(error: BaseException) -> None:
        heard.append(error)
        told.set()

    guard.enter(one, ticks(), SHORT, tell)
    assert told.wait(10)
    guard.cancel(one.id)
    assert guard.leave(one.id) is heard[0]
    assert [type(error) for error in heard] == [TaskTimeout]


def test_a_coroutine_is_told_where_it_awaits(guard: Guard) -> None:
    one = job()

    async def main() -> None:
        steps = Steps(asyncio.sleep(60), lambda: None)
        guard.enter(one, ticks(), SHORT, steps.tell)
        await steps

    with pytest.raises(TaskTimeout, match=r"longer than 0\.001 s"):
        asyncio.run(main())
    assert isinstance(guard.leave(one.id), TaskTimeout)


# In the main thread


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """The board of this process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Board.create("a store", "a-worker")
    yield made
    made.close()


@pytest.fixture
def main_guard(board: Board) -> Iterator[Guard]:
    """A guard that tells the main thread, which is this one."""
    before = signal.getsignal(guard_module._SIGNAL)
    made = Guard(board)
    made.use_signal()
    made.start()
    yield made
    made.stop()
    signal.signal(guard_module._SIGNAL, before)


@pytest.mark.parametrize(
    "hang", [lambda: time.sleep(60), lambda: threading.Event().wait(60)], ids=["sleep", "lock"]
)
def test_a_call_in_the_main_thread_is_told_out_of_a_sleep(
    main_guard: Guard, board: Board, hang: Callable[[], object]
) -> None:
    one = job()
    board.start(one.id, 0, ticks(), SHORT)
    main_guard.in_main = one
    main_guard.watch()
    with pytest.raises(TaskTimeout, match=r"The call took longer than 0\.001 s"):
        hang()
    main_guard.in_main = None
    assert isinstance(main_guard.leave(one.id), TaskTimeout)


def test_in_the_main_thread_what_must_not_be_left_half_done_is_spared(
    main_guard: Guard, board: Board
) -> None:
    one, done = job(), list[str]()

    def save() -> None:
        with main_guard.sparing(one.id):
            main_guard.cancel(one.id)
            for _ in range(1000):
                pass
            done.append("saved")

    board.start(one.id, 0, ticks(), LONG)
    main_guard.in_main = one
    with pytest.raises(TaskCancelled, match="cancelled"):
        save()
    main_guard.in_main = None
    assert done == ["saved"]
    assert isinstance(main_guard.leave(one.id), TaskCancelled)


def test_the_next_call_in_the_main_thread_is_not_told_of_the_last_one(
    main_guard: Guard, board: Board
) -> None:
    one, following = job(), job()
    board.start(one.id, 0, ticks(), LONG)
    main_guard.in_main = one
    signal.pthread_sigmask(signal.SIG_BLOCK, {guard_module._SIGNAL})
    main_guard.cancel(one.id)  # whose signal is on its way
    main_guard.in_main = None
    assert isinstance(main_guard.leave(one.id), TaskCancelled)
    board.start(following.id, 0, ticks(), LONG)
    main_guard.in_main = following
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {guard_module._SIGNAL})
    for _ in range(100):
        pass
    main_guard.in_main = None
    assert main_guard.leave(following.id) is None


def test_nothing_stays_of_a_call_in_the_main_thread_that_ends_just_as_it_is_told(
    main_guard: Guard, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be told to the next attempt of the same job."""
    one, started = job(), board.started

    def end_first(job_id: str) -> Any:
        main_guard.in_main = None
        assert not main_guard.told  # so nobody leaves the guard
        return started(job_id)

    board.start(one.id, 0, ticks(), LONG)
    main_guard.in_main = one
    monkeypatch.setattr(board, "started", end_first)
    main_guard.cancel(one.id)
    assert main_guard.told == main_guard._told_at == {}


# What it knows


def test_it_knows_what_has_run_for_long_and_was_not_told(guard: Guard) -> None:
    old, young, told = job(), job(), job()
    guard.enter(old, ticks() - 5_000_000, LONG, lambda error: None)
    guard.enter(told, ticks() - 5_000_000, LONG, lambda error: None)
    guard.enter(young, ticks(), LONG, lambda error: None)
    guard.cancel(told.id)
    assert guard.long_running(4_000_000) == [old]
    for one in (old, young, told):
        guard.leave(one.id)
    assert guard.long_running(0) == []


def test_what_is_cancelled_is_due_at_once_for_who_kills(board: Board) -> None:
    guard, one = Guard(board), job()
    board.start(one.id, 0, ticks(), LONG)
    guard.enter(one, ticks(), LONG, lambda error: None)
    guard.cancel(one.id)
    assert board.first_deadline() is not None
    assert board.mark_overdue(ticks()) == [one.id]


def test_what_takes_too_long_has_its_own_deadline(board: Board) -> None:
    guard, one, told = Guard(board), job(), threading.Event()
    began = ticks()
    board.start(one.id, 0, began, SHORT)
    guard.start()
    guard.enter(one, began, SHORT, lambda error: told.set())
    assert told.wait(10)
    guard.stop()
    assert board.first_deadline() == began + SHORT


def test_it_stops_with_nothing_to_do() -> None:
    guard = Guard(NoBoard())
    guard.start()
    guard.stop()
    assert not guard._thread.is_alive()
