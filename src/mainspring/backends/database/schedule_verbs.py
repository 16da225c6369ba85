"""The storage verbs of schedules that a caller uses, in the caller's transaction."""

from django.db import transaction

from mainspring.backends.database.caller_verbs import CallerVerbs
from mainspring.core.clock import now as clock_now
from mainspring.core.schedule_states import ScheduleState


class ScheduleVerbs(CallerVerbs):
    """Pausing, resuming, listing."""

    def pause_schedule(self, name: str) -> bool:
        """See :meth:`Storage.pause_schedule`."""
        backend, now = self._backend, clock_now()

        @transaction.atomic(self._alias)
        def pause() -> bool:
            return self._execute("pause_schedule", backend, name) or self._execute(
                "add_paused_schedule", backend, name, "", 0, now, now, True
            )

        return self._do(pause)

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
