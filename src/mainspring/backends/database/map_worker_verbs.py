"""The storage verbs of maps that a worker uses, on connections of its own."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from mainspring.backends.database.answers import Answer
from mainspring.backends.database.map_ids import level_of, rows_of
from mainspring.backends.database.skipping import ready_moments
from mainspring.backends.database.unfinished_maps import some_unfinished
from mainspring.backends.database.vendors.base import Row
from mainspring.backends.database.worker_verbs import WorkerVerbs
from mainspring.backends.map_storage import MapsSeen
from mainspring.conf import Config
from mainspring.core.chunks import Division, MapRecord
from mainspring.core.jobs import NEW_COLUMNS, Job, Outcome, State, Worker
from mainspring.core.merging import Step, next_step
from mainspring.exceptions import StoreLocked, StoreUnavailable

_TRIES: Final = 3
_NO_CLAIM: Final = 0  # one that no worker draws


class MapWorkerVerbs(WorkerVerbs):
    """Dividing rows, and bringing maps to their end."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._maps_after = ""
        self._maps_next = Answer[Sequence[Row]]()

    def divide(self, worker: Worker, job: Job, division: Division) -> bool:
        """See :meth:`Storage.divide`."""
        dialect = self._dialect

        def write(cursor: Any) -> bool:
            if not dialect.keep_calls(cursor, division.arguments, job.id, job.claim):
                return False
            if division.parts:
                dialect.add_jobs(cursor, [_new_columns(part) for part in division.parts])
            if division.outcomes:
                dialect.settle(cursor, division.outcomes)
            return True

        is_held = self._write_patiently(write)
        if is_held and any(outcome.state == State.READY for outcome in division.outcomes):
            dialect.ready_again(ready_moments((*division.outcomes, *division.parts)))
            self._notify()
        return is_held

    def finish_map(self, map_id: str, now: int) -> bool:
        """See :meth:`Storage.finish_map`."""
        # Without a lock first: most calls come while there is more to do, and an open map's record
        # may be locked for long, by the caller who adds to it.
        with self._reading() as cursor:
            is_finished, is_done = self._progress(cursor, map_id)
        if is_finished or not is_done:
            return is_finished
        is_finished, step = self._write_patiently(lambda cursor: self._finish(cursor, map_id, now))
        if step is not None:
            self._tell_of(map_id, step)
        return is_finished

    def _progress(self, cursor: Any, map_id: str) -> tuple[bool, bool]:
        # Whether the map is at its end, and whether all of its rows have finished.
        cursor.execute(self._dialect.sql("map_progress"), (*rows_of(map_id), map_id, self._backend))
        row = cursor.fetchone()
        if row is None:
            return False, False
        is_closed, finished_at, has_unfinished = row
        return finished_at is not None, bool(is_closed) and not has_unfinished

    def _finish(self, cursor: Any, map_id: str, now: int) -> tuple[bool, Step | None]:
        # Whether the map is at its end, and the step that was taken, if one was.
        dialect = self._dialect
        cursor.execute(dialect.sql("lock_map"), (map_id, self._backend))
        row = cursor.fetchone()
        if row is None:
            return False, None
        record = MapRecord(*row)
        is_finished, is_done = self._progress(cursor, map_id)  # again: others may have been faster
        if is_finished or not is_done:
            return is_finished, None
        below: list[tuple[str, int]] = []
        if record.spec.merge is not None and record.result_id is None:
            cursor.execute(dialect.sql("states_between"), level_of(map_id, record.level))
            below = cursor.fetchall()
        step = next_step(record, below, now)
        self._store_step(cursor, step)
        return step.record.finished_at is not None, step

    def _store_step(self, cursor: Any, step: Step) -> None:
        dialect, record = self._dialect, step.record
        ended = [job for job in step.jobs if State(job.state).is_final]
        if step.jobs:
            dialect.add_jobs(cursor, [_new_columns(_begun(job)) for job in step.jobs])
        if ended:
            dialect.settle(cursor, [_outcome_of(job) for job in ended])
        cursor.execute(
            dialect.sql("save_map"),
            (record.level, record.result_id, record.finished_at, record.id),
        )

    def _tell_of(self, map_id: str, step: Step) -> None:
        if any(job.state == State.READY for job in step.jobs):
            self._notify()
        if step.record.finished_at is not None:
            result_id = step.record.result_id
            ended = [map_id] if result_id is None else [map_id, result_id]
            with self._own_connection() as connection:
                self._dialect.tell_settled(connection, ended)

    def unfinished_maps(self) -> list[str]:
        """See :meth:`Storage.unfinished_maps`."""
        with self._reading() as cursor:
            cursor.execute(self._dialect.sql("unfinished_maps"), (self._backend,))
            return [map_id for (map_id,) in cursor.fetchall()]

    def look_at_maps(self, after: str, limit: int) -> MapsSeen:
        """See :meth:`Storage.look_at_maps`. On SQLite, no query if nothing was written."""
        dialect = self._dialect
        if after != self._maps_after:
            self._maps_after, self._maps_next = after, Answer()
        rows = self._answered(
            self._maps_next, lambda cursor: some_unfinished(dialect, cursor, after, limit)
        )
        ended = [map_id for map_id, has_ended in rows if has_ended]
        return MapsSeen(ended, rows[-1][0] if len(rows) == limit else "")

    def _write_patiently[T](self, write: Callable[[Any], T]) -> T:
        # Retry everything if another transaction was in the way, such as a cancellation.
        for _ in range(_TRIES - 1):
            try:
                with self._writing() as cursor:
                    return write(cursor)
            except StoreUnavailable as error:
                cause = error.__cause__
                is_locked = isinstance(error, StoreLocked)  # it has already waited for the lock
                is_transient = isinstance(cause, Exception) and self._dialect.is_transient(cause)
                if is_locked or not is_transient:
                    raise
        with self._writing() as cursor:
            return write(cursor)


def _new_columns(job: Job) -> tuple[Any, ...]:
    return (*job[:6], int(job.state), *job[7:NEW_COLUMNS])


def _begun(job: Job) -> Job:
    # A new job has no room for how it ended: that is settled, under a claim.
    if State(job.state).is_final:
        return job._replace(state=State.RUNNING, claim=_NO_CLAIM)
    return job


def _outcome_of(job: Job) -> Outcome:
    return Outcome(
        job.id,
        _NO_CLAIM,
        job.state,
        job.available_at,
        job.started_at,
        job.last_attempted_at,
        job.finished_at,
        job.worker_ids,
        job.errors,
        job.return_value,
    )
