"""The storage verbs of schedules: how far each has come, and its next ticks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mainspring.core.entries import Entry
from mainspring.core.jobs import Job
from mainspring.core.schedule_states import ScheduleState, Start, Tick


class ScheduleStorage(ABC):
    """Those of one backend alias; what a schedule is, the code, the settings and entries say.

    :meth:`pause_schedule`, :meth:`resume_schedule` and :meth:`list_schedules` are a caller's, and
    work in the caller's transaction where the store has one.
    """

    @abstractmethod
    def clock(self) -> int:
        """Return the present moment by the store's own clock, which all workers go by."""

    @abstractmethod
    def read_schedules(self, names: Sequence[str]) -> Mapping[str, ScheduleState]:
        """Return the states of those of these schedules that have one, by name."""

    @abstractmethod
    def start_schedules(self, starts: Sequence[Start]) -> None:
        """Store the states of schedules that are new, or whose declaration has changed.

        One that is there keeps its state where its fingerprint is that one, or was declared later.
        """

    @abstractmethod
    def tick(self, ticks: Sequence[Tick], now: int) -> Mapping[str, Sequence[Job]]:
        """Have schedules tick; return, by name, the jobs of those that did.

        Each in one transaction: only where a schedule is not paused and has the fingerprint and the
        last tick that its Tick says, its last tick becomes the new one and its calls are stored.
        So a tick is enqueued once, whoever tries and however often, as after a lost answer. One
        that somebody else is about to do may be left out. Where an equal call is pending, the job
        is that one's. Wakes workers.
        """

    @abstractmethod
    def keep_schedules(self, names: Sequence[str], now: int, seen_before: int) -> None:
        """Take note that these schedules are still declared, where that was noted long ago."""

    @abstractmethod
    def forget_schedules(self, seen_before: int) -> int:
        """Delete the states of schedules that nobody has declared since; return how many."""

    @abstractmethod
    def pause_schedule(self, name: str) -> bool:
        """Have a schedule not tick, also in times to come; whether that is new."""

    @abstractmethod
    def resume_schedule(self, name: str) -> bool:
        """Have a schedule tick again, with its next tick; whether it was paused."""

    @abstractmethod
    def list_schedules(self) -> list[ScheduleState]:
        """Return the states of all schedules, by name."""

    def entries_mark(self) -> object:
        """Return a value that changes with the entries, at little cost."""
        return None

    def read_entries(self) -> list[Entry]:
        """Return the entries that are enabled; a store need not have any."""
        return []
