"""Runs rows of maps: what is told to their calls meets nothing of the worker's own."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mainspring.core import codec
from mainspring.core.calls import Call
from mainspring.core.chunks import Spec, new_map_id, row_id, with_spec
from mainspring.core.jobs import Job, Outcome, State, Worker
from mainspring.core.policy import Policy
from mainspring.runtime.board import NoBoard
from mainspring.runtime.guard import Guard
from mainspring.runtime.row_runner import RowRunner
from mainspring.runtime.telling import Telling
from tests.contract.jobs import job

MAP = new_map_id(1_700_000_000_000_000)
SPEC = Spec(MAP, "items", None)
WORKER = Worker("worker-1", 1)


def row(number: int) -> Job:
    return job(
        id=row_id(MAP, 0),
        options=with_spec(None, SPEC),
        arguments=codec.encode(list(range(number))),
    )


class Board(NoBoard):
    """Has every row cancelled at one moment."""

    def __init__(self, moment: str) -> None:
        self.guard: Guard | None = None
        self._moment = moment

    def go_on(self, job_id: str, began: int, timeout: int, first: int, number: int) -> None:
        self._cancel("before", job_id)

    def keep(self, job_id: str, note: bytes) -> None:
        self._cancel("after", job_id)

    def _cancel(self, moment: str, job_id: str) -> None:
        if moment == self._moment and self.guard is not None:
            thread = threading.Thread(target=self.guard.cancel, args=(job_id,))
            thread.start()
            thread.join()


def runner(board: NoBoard, guard: Guard, **telling: Any) -> RowRunner:
    heard: dict[str, Any] = {
        "hears_each_started": True,
        "hears_each_finished": False,
        "running": lambda *_: None,
        "tell_started": lambda *_: None,
        "tell": lambda *_: None,
    }
    executor: Any = SimpleNamespace(
        commit=lambda: None,
        close_interrupted=lambda: None,
        tasks=SimpleNamespace(repeated=lambda call: call.func),
        telling=SimpleNamespace(**(heard | telling)),
    )
    storage: Any = None
    return RowRunner(
        executor, storage, WORKER, board, guard, Telling(WORKER.id), lambda *_: None, 1000
    )


def run_in_thread(rows: RowRunner, one: Job) -> Outcome | BaseException | None:
    """Return what came of a row, or what running it has raised."""
    ended: list[Outcome | BaseException | None] = []

    def run() -> None:
        call, policy = Call(func=str, takes_context=False, is_async=False), Policy(1, 0, None, 3)
        try:
            ended.append(rows.run(one, call, policy, SPEC))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return ended[0]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_row_that_is_cancelled_between_its_calls_raises_nothing(moment: str) -> None:
    board = Board(moment)
    guard = board.guard = Guard(board)
    outcome = run_in_thread(runner(board, guard), row(3))
    assert isinstance(outcome, Outcome)
    assert outcome.state == State.SUCCESSFUL
    assert guard.running == guard.told == {}


def test_what_a_receiver_of_task_started_raises_fails_the_call_alone() -> None:
    def leave(*_: Any) -> None:
        raise SystemExit(1)

    outcome = run_in_thread(runner(NoBoard(), Guard(NoBoard()), tell_started=leave), row(1))
    assert isinstance(outcome, Outcome)
    assert outcome.state == State.FAILED
    assert b"SystemExit" in (outcome.errors or b"")
