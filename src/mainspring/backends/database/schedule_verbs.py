"""The storage verbs of schedules that a caller uses, in the caller's transaction."""

from django.db import transaction

from mainspring.backends.database.caller_verbs import CallerVerbs
from mainspring.core.clock import now as clock_now
from mainspring.core.schedule_states import ScheduleState


class ScheduleVerbs(CallerVerbs):
    """Pausing, resuming, listing."""

    def pause_schedule(self, name: str) -> bool:
        """See :meth:`Storage.pause_schedule`."""
        with transaction.atomic(self._alias):
            if self._write("pause_schedule", self._backend, name):
                return True
            now = clock_now()
            return self._write("add_paused_schedule", self._backend, name, "", 0, now, now, True)

    def resume_schedule(self, name: str) -> bool:
        """See :meth:`Storage.resume_schedule`."""
        return self._write("resume_schedule", self._backend, name)

    def list_schedules(self) -> list[ScheduleState]:
        """See :meth:`Storage.list_schedules`."""
        return [as_state(row) for row in self._read("list_schedules", self._backend)]


def as_state(row: tuple[object, ...]) -> ScheduleState:
    """Return the state that a row is."""
    state = ScheduleState(*row)  # type: ignore[arg-type] # as the statements select them
    return state._replace(is_paused=bool(state.is_paused))
