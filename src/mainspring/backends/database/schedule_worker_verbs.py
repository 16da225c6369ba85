"""The storage verbs of schedules that a worker uses, on connections of its own."""

from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import Any, Final

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database import unique
from mainspring.backends.database.map_worker_verbs import MapWorkerVerbs
from mainspring.backends.database.schedule_verbs import as_state
from mainspring.core.entries import Entry
from mainspring.core.jobs import NEW_COLUMNS, Job, State
from mainspring.core.schedule_states import ScheduleState, Start, Tick

_BATCH: Final = 1000  # names of a statement


class ScheduleWorkerVerbs(MapWorkerVerbs):
    """Ticking, and what goes before it."""

    def clock(self) -> int:
        """See :meth:`Storage.clock`."""
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("clock"), ())
            return int(cursor.fetchone()[0])

    def read_schedules(self, names: Sequence[str]) -> Mapping[str, ScheduleState]:
        """See :meth:`Storage.read_schedules`."""
        states = {}
        for some in batched(names, _BATCH):
            with self._reading() as cursor:
                asked = (self._backend, self._dialect.texts(some))
                cursor.execute(self._dialect.sql("read_schedules"), asked)
                states.update({row[0]: as_state(row) for row in cursor.fetchall()})
        return states

    def start_schedules(self, starts: Sequence[Start]) -> None:
        """See :meth:`Storage.start_schedules`."""
        for some in batched(sorted(starts), _BATCH):
            new = [
                (self._backend, one.name, one.fingerprint, one.declared_at, one.at, one.at, False)
                for one in some
            ]
            self._write_patiently(self._many("add_schedule", new))
            states = self.read_schedules([one.name for one in some])
            if declared_anew := [one for one in some if _is_anew(one, states.get(one.name))]:
                rows = [(*one[1:], one.at, self._backend, *one[:3]) for one in declared_anew]
                self._write_patiently(self._many("restart_schedule", rows))

    def _many(self, name: str, rows: Sequence[tuple[Any, ...]]) -> Callable[[Any], Any]:
        return lambda cursor: cursor.executemany(self._dialect.sql(name), rows)

    def tick(self, ticks: Sequence[Tick], now: int) -> Mapping[str, Sequence[Job]]:
        """See :meth:`Storage.tick`; all in one transaction but for unique calls."""
        plain = [one for one in ticks if not _has_unique(one)]
        done: dict[str, Sequence[Job]] = {}
        if plain:
            done |= self._write_patiently(lambda cursor: self._tick(cursor, plain, now))
            self._notify_of(done)
        if len(plain) < len(ticks):
            done |= self._tick_all_unique([one for one in ticks if _has_unique(one)], now)
        return done

    def _notify_of(self, done: Mapping[str, Sequence[Job]]) -> None:
        if any(job.state in (State.READY, State.HELD) for jobs in done.values() for job in jobs):
            self._notify()

    def _tick(self, cursor: Any, ticks: Sequence[Tick], now: int) -> dict[str, Sequence[Job]]:
        dialect = self._dialect
        names = sorted(one.name for one in ticks)
        cursor.execute(dialect.sql("lock_schedules"), (self._backend, dialect.texts(names)))
        locked = {row[0]: as_state(row) for row in cursor.fetchall()}
        fit = [one for one in ticks if one.name in locked and one.fits(locked[one.name])]
        if not fit:
            return {}
        done = {one.name: [job for job, _ in one.calls] for one in fit}
        steps = [
            (one.new_last, _last_id(done[one.name]), now, self._backend, one.name) for one in fit
        ]
        cursor.executemany(dialect.sql("tick_schedule"), steps)
        jobs = [job for several in done.values() for job in several]
        if jobs:
            dialect.add_jobs(cursor, [_new_columns(job) for job in jobs])
        if held := [job.id for job in jobs if job.state == State.HELD]:
            dialect.hold(cursor, held, is_own=True)
        return dict(done)

    def _tick_all_unique(self, ticks: Sequence[Tick], now: int) -> dict[str, Sequence[Job]]:
        # On Django's connection in this thread, which no task has opened: closed again.
        connection = connections[self._alias]
        was_open = connection.connection is not None
        done: dict[str, Sequence[Job]] = {}
        try:
            for one in ticks:
                with self._explained():
                    jobs = self._try_unique(connection, one, now)
                if jobs is not None:
                    done[one.name] = jobs
        finally:
            if not was_open and not connection.in_atomic_block:
                connection.close()
            self._notify_of(done)
        return done

    def _try_unique(
        self, connection: BaseDatabaseWrapper, tick: Tick, now: int
    ) -> list[Job] | None:
        # Who enqueues an equal call has its key locked until the end of a transaction, however long
        # that takes; the other loops of this thread, the heartbeat among them, are not to wait.
        try:
            return self._tick_unique(connection, tick, now)
        except DatabaseError as error:
            if self._dialect.is_locked_out(error) or self._dialect.is_transient(error):
                return None
            raise

    def _tick_unique(
        self, connection: BaseDatabaseWrapper, tick: Tick, now: int
    ) -> list[Job] | None:
        # Whether an equal call is pending is known to who holds its key, as callers do.
        dialect = self._dialect
        step = (tick.new_last, now, self._backend, tick.name, tick.fingerprint, tick.last)
        with transaction.atomic(self._alias):
            with connection.cursor() as cursor:
                dialect.wait_briefly(cursor)
                cursor.execute(dialect.sql("tick_unique"), step)
                if not cursor.rowcount:
                    return None
            jobs = unique.enqueue_unique(connection, dialect, tick.calls, is_again=False)
            with connection.cursor() as cursor:
                last = (jobs[-1].id, self._backend, tick.name)
                cursor.execute(dialect.sql("tick_unique_job"), last)
        return jobs

    def keep_schedules(self, names: Sequence[str], now: int, seen_before: int) -> None:
        """See :meth:`Storage.keep_schedules`."""
        for some in batched(sorted(names), _BATCH):
            kept = (now, self._backend, seen_before, self._dialect.texts(some))
            self._write_patiently(self._one("keep_schedules", kept))

    def forget_schedules(self, seen_before: int) -> int:
        """See :meth:`Storage.forget_schedules`."""
        return self._write_patiently(self._one("forget_schedules", (self._backend, seen_before)))

    def _one(self, name: str, params: tuple[Any, ...]) -> Callable[[Any], int]:
        def write(cursor: Any) -> int:
            cursor.execute(self._dialect.sql(name), params)
            return int(cursor.rowcount)

        return write

    def entries_mark(self) -> object:
        """See :meth:`Storage.entries_mark`."""
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("entries_mark"), (self._backend,))
            number, mark = cursor.fetchone()
            return int(number), int(mark)

    def read_entries(self) -> list[Entry]:
        """See :meth:`Storage.read_entries`."""
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("read_entries"), (self._backend,))
            return [Entry(*row) for row in cursor.fetchall()]


def _is_anew(start: Start, state: ScheduleState | None) -> bool:
    return state is not None and state.fingerprint != start.fingerprint


def _has_unique(tick: Tick) -> bool:
    return any(what is not None for _, what in tick.calls)


def _last_id(jobs: Sequence[Job]) -> str | None:
    return jobs[-1].id if jobs else None


def _new_columns(job: Job) -> tuple[Any, ...]:
    return (*job[:6], int(job.state), *job[7:NEW_COLUMNS])
