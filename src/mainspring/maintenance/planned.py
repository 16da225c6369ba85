"""A schedule as a worker knows it, and its next step."""

import logging
import time
from functools import cached_property
from typing import Final

from mainspring.backends.base import MainspringBackend
from mainspring.backends.scheduled_calls import ScheduledCalls
from mainspring.core.schedule_states import ScheduleState, Start, Tick
from mainspring.core.schedules import Schedule, newest_tick, ticks_due

logger = logging.getLogger("mainspring")

LOADED_AT: Final = time.monotonic_ns() // 1000
"""When this code was loaded, and that of the tasks: before the worker processes are forked."""


class Planned:
    """One schedule of this worker's code, of the settings, or of an entry."""

    def __init__(
        self, backend: MainspringBackend, schedule: Schedule, declared_at: int, version: int = 0
    ) -> None:
        """``declared_at`` is by the store's clock; another ``version`` starts it anew as well."""
        self._backend = backend
        self.schedule = schedule
        self.name = schedule.name
        self.declared_at = declared_at
        self.fingerprint = schedule.fingerprint + (f"-{version:x}" if version else "")
        self._has_failed = False

    @cached_property
    def _calls(self) -> ScheduledCalls:
        return ScheduledCalls(self._backend, self.schedule)

    def next_after(self, moment: int) -> int | None:
        """Return its next tick."""
        return self.schedule.timing.next_after(moment)

    def start(self, now: int) -> Start:
        """Return its beginning: from now."""
        return Start(self.name, self.fingerprint, self.declared_at, now)

    def step(self, state: ScheduleState, now: int) -> Tick | None:
        """Return the step that is due; None for none.

        None as well, with the error in the log, where its calls cannot be made: others may have
        other code.
        """
        ticks = ticks_due(self.schedule, state.last_tick, now)
        new_last = ticks[-1] if ticks else newest_tick(self.schedule, state.last_tick, now)
        if new_last is None:
            return None
        if self.schedule.overlap == "skip":
            ticks = [] if state.is_busy else ticks[-1:]
        try:
            # One microsecond after the other, so that they keep their order.
            calls = [self._calls.call(tick, now + index) for index, tick in enumerate(ticks)]
        except Exception:
            if not self._has_failed:
                logger.exception(
                    "Schedule %r cannot be enqueued by this worker", self.name, extra=self._extra
                )
            self._has_failed = True
            return None
        self._has_failed = False
        return Tick(self.name, self.fingerprint, state.last_tick, new_last, calls)

    @property
    def _extra(self) -> dict[str, str]:
        return {"schedule": self.name, "task_path": self.schedule.task_path}
