"""The lane of a worker with one slot for sync tasks: its main thread."""

from collections.abc import Callable
from typing import Final

from mainspring.core.jobs import Outcome
from mainspring.runtime.board import ticks
from mainspring.runtime.executor import Executor
from mainspring.runtime.isolation import expect_tasks
from mainspring.runtime.lanes import Waiting
from mainspring.runtime.pace import Pace

_FEWEST: Final = 16  # jobs claimed at a time: tasks so short that claiming takes its share


class InlineLane:
    """Runs what waits, one job after the other, in the thread that calls."""

    def __init__(
        self, executor: Executor, waiting: Waiting, finished: list[Outcome], pace: Pace
    ) -> None:
        self.is_running = False
        self._execute = executor.execute
        self._commit = executor.commit
        self._waiting = waiting
        self._finished = finished
        self._pace = pace
        self._ahead_at = -1

    def expect(self, claimed: int, room: int) -> None:
        """Take note of how many jobs came of how many there was room for.

        Where short tasks came in full, there are more: half of them run while the next are claimed.
        """
        self._ahead_at = claimed // 2 if claimed == room and claimed >= _FEWEST else -1

    def run(self, is_stopping: Callable[[], bool], claim_ahead: Callable[[], None]) -> None:
        """Run until nothing waits; call ``claim_ahead`` when half of what came is left."""
        execute, waiting, finished = self._execute, self._waiting, self._finished
        expect_tasks()
        began, ran = ticks(), 0
        self.is_running = True
        while not is_stopping() and (job := waiting.take_at_once()) is not None:
            outcome = execute(job)
            if outcome is not None:
                finished.append(outcome)
            ran += 1
            if len(waiting) == self._ahead_at:
                now = ticks()
                self._pace.learn(ran, now - began)
                began, ran = now, 0
                claim_ahead()
        self._commit()
        self.is_running = False
        if ran:
            self._pace.learn(ran, ticks() - began)
