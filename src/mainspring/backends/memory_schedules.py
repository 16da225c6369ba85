"""The storage verbs of schedules in the memory of a process, under its lock."""

from collections.abc import Mapping, Sequence

from mainspring.backends.memory_maps import MemoryMaps
from mainspring.conf import Config
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import Job
from mainspring.core.schedule_states import ScheduleState, Start, Tick


class MemorySchedules(MemoryMaps):
    """The verbs of schedules."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._schedules: dict[str, ScheduleState] = {}

    def clock(self) -> int:
        """See :meth:`Storage.clock`."""
        return clock_now()

    def read_schedules(self, names: Sequence[str]) -> Mapping[str, ScheduleState]:
        """See :meth:`Storage.read_schedules`."""
        with self._lock:
            found = (self._schedules.get(name) for name in names)
            return {state.name: self._with_job(state) for state in found if state is not None}

    def _with_job(self, state: ScheduleState) -> ScheduleState:
        job = self._jobs.get(state.last_job_id or "")
        return state._replace(last_state=None if job is None else int(job.state))

    def start_schedules(self, starts: Sequence[Start]) -> None:
        """See :meth:`Storage.start_schedules`."""
        with self._lock:
            for name, fingerprint, declared_at, at in starts:
                state = self._schedules.get(name)
                if state is None:
                    new = ScheduleState(name, fingerprint, declared_at, at, False, at)
                elif state.fingerprint == fingerprint or state.declared_at > declared_at:
                    continue
                else:
                    new = state._replace(
                        fingerprint=fingerprint, declared_at=declared_at, last_tick=at, seen_at=at
                    )
                self._schedules[name] = new

    def tick(self, ticks: Sequence[Tick], now: int) -> Mapping[str, Sequence[Job]]:
        """See :meth:`Storage.tick`."""
        done = {}
        with self._lock:
            for tick in ticks:
                state = self._schedules.get(tick.name)
                if state is None or not tick.fits(state):
                    continue
                jobs = [self._put_unique(job, unique) for job, unique in tick.calls]
                self._schedules[tick.name] = state._replace(
                    last_tick=tick.new_last,
                    last_job_id=jobs[-1].id if jobs else state.last_job_id,
                    seen_at=now,
                )
                done[tick.name] = jobs
            if any(done.values()):
                self._wake_all()
        return done

    def keep_schedules(self, names: Sequence[str], now: int, seen_before: int) -> None:
        """See :meth:`Storage.keep_schedules`."""
        with self._lock:
            for name in names:
                state = self._schedules.get(name)
                if state is not None and state.seen_at < seen_before:
                    self._schedules[name] = state._replace(seen_at=now)

    def forget_schedules(self, seen_before: int) -> int:
        """See :meth:`Storage.forget_schedules`."""
        with self._lock:
            old = [one.name for one in self._schedules.values() if one.seen_at < seen_before]
            for name in old:
                del self._schedules[name]
        return len(old)

    def pause_schedule(self, name: str) -> bool:
        """See :meth:`Storage.pause_schedule`."""
        now = self.clock()
        with self._lock:
            state = self._schedules.get(name) or ScheduleState(name, "", 0, now, False, now)
            self._schedules[name] = state._replace(is_paused=True)
        return not state.is_paused

    def resume_schedule(self, name: str) -> bool:
        """See :meth:`Storage.resume_schedule`."""
        now = self.clock()
        with self._lock:
            state = self._schedules.get(name)
            if state is None or not state.is_paused:
                return False
            last = max(state.last_tick, now)
            self._schedules[name] = state._replace(is_paused=False, last_tick=last)
        return True

    def list_schedules(self) -> list[ScheduleState]:
        """See :meth:`Storage.list_schedules`."""
        with self._lock:
            return [self._with_job(state) for _, state in sorted(self._schedules.items())]
