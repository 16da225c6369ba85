"""How far a schedule has come, as a store knows it, and the steps by which it goes on."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from mainspring.core.clock import SECOND
from mainspring.core.jobs import Job, State
from mainspring.core.unique import Unique

FORGOTTEN_AFTER: Final = 24 * 3600 * SECOND
"""How long a schedule is kept that nobody declares any more."""
LEFT_AFTER: Final = 2 * 3600 * SECOND
"""How long a schedule must be unseen before an earlier declaration may take it back."""


class ScheduleState(NamedTuple):
    """What a store keeps of a schedule. Moments are microseconds, by the store's own clock."""

    name: str
    fingerprint: str
    """That of the declaration by which it ticks; empty where it has not begun."""
    declared_at: int
    """When this declaration was made, as far as its worker knew: a later one prevails."""
    last_tick: int
    """All ticks up to here are dealt with."""
    is_paused: bool
    seen_at: int
    """When a worker last ticked it or said that it is still declared."""
    last_job_id: str | None = None
    """The job of its last tick that had one."""
    last_state: int | None = None
    """The state of that job; None where it has none, or no more."""

    @property
    def is_busy(self) -> bool:
        """Whether the last call is unfinished."""
        return self.last_state is not None and not State(self.last_state).is_final

    def gives_way_to(self, fingerprint: str, declared_at: int, now: int) -> bool:
        """Return True if a declaration with this fingerprint may replace the present one."""
        return self.fingerprint != fingerprint and (
            self.declared_at < declared_at or self.seen_at < now - LEFT_AFTER
        )


class Start(NamedTuple):
    """The beginning of a schedule, or of a new declaration of it."""

    name: str
    fingerprint: str
    declared_at: int
    at: int
    """Its ticks are those after this moment."""


class Tick(NamedTuple):
    """One step of a schedule: from one tick to a later one."""

    name: str
    fingerprint: str
    """Done only if it goes by this declaration,"""
    last: int
    """and its ``last_tick`` is this one."""
    new_last: int
    calls: Sequence[tuple[Job, Unique | None]] = ()
    """What is enqueued with it; with what makes it unique, if anything does."""

    def fits(self, state: ScheduleState) -> bool:
        """Whether a schedule in this state can take the step."""
        return not state.is_paused and (state.fingerprint, state.last_tick) == (
            self.fingerprint,
            self.last,
        )
