"""The storage verbs of maps in the memory of a process, under its lock."""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Final

from mainspring.backends.memory_jobs import MemoryJobs
from mainspring.conf import Config
from mainspring.core.chunks import Division, MapRecord, as_seen, first_of, merge_id, row_id
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import Job, State, Worker
from mainspring.core.merging import next_step
from mainspring.core.outcomes import duplicate_errors
from mainspring.core.unique import Unique

_KEY: Final = 20  # how much of their ids a map and its rows have in common


class MemoryMaps(MemoryJobs):
    """The verbs of maps."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._maps: dict[str, _Map] = {}  # by the key

    def open_map(self, record: MapRecord) -> None:
        """See :meth:`Storage.open_map`."""
        with self._lock:
            self._maps.setdefault(record.id[:_KEY], _Map(record, self._jobs))

    def add_rows(self, map_id: str, rows: Sequence[Job], stored: int) -> None:
        """See :meth:`Storage.add_rows`."""
        with self._lock:
            found = self._grown(map_id, stored)
            for row in rows:
                self._add(found, row)
            self._wake_all()

    def add_unique_rows(
        self, map_id: str, calls: Sequence[tuple[Job, Unique | None]], stored: int
    ) -> list[Job]:
        """See :meth:`Storage.add_unique_rows`."""
        with self._lock:
            found = self._grown(map_id, stored)
            jobs = [self._put_unique(row, unique) for row, unique in calls]
            for (row, _), job in zip(calls, jobs, strict=True):
                if job.id != row.id:
                    self._put(
                        row._replace(
                            state=State.CANCELLED,
                            finished_at=clock_now(),
                            errors=duplicate_errors(as_seen(job).id),
                        )
                    )
                found.add(row.id)
            self._wake_all()
        return jobs

    def _grown(self, map_id: str, stored: int) -> "_Map":
        found = self._map(map_id)
        if found is None or found.record.is_closed:
            raise ValueError(f"Map {map_id} takes no more rows.")
        found.record = found.record._replace(stored=stored)
        return found

    def close_map(self, map_id: str) -> None:
        """See :meth:`Storage.close_map`."""
        with self._lock:
            if (found := self._map(map_id)) is not None:
                found.record = found.record._replace(is_closed=True)
                self._finish(found, clock_now())

    def find_map(self, map_id: str) -> MapRecord | None:
        """See :meth:`Storage.find_map`."""
        with self._lock:
            found = self._map(map_id)
            return None if found is None else found.record

    def count_calls(self, map_id: str) -> Mapping[int, int]:
        """See :meth:`Storage.count_calls`."""
        counts: dict[int, int] = {}
        with self._lock:
            found = self._map(map_id)
            if found is None:
                return counts
            ids = found.rows
            begins = [*map(first_of, ids), found.record.stored]
            for job_id, (begin, end) in zip(ids, pairwise(begins), strict=True):
                state = int(self._jobs[job_id].state)
                counts[state] = counts.get(state, 0) + end - begin
        return counts

    def read_rows(
        self,
        map_id: str,
        start: int,
        limit: int,
        values_only: bool = False,
    ) -> list[Job]:
        """See :meth:`Storage.read_rows`."""
        with self._lock:
            found = self._map(map_id)
            if found is None:
                return []
            ids = found.rows
            at = max(bisect_right(ids, row_id(map_id, start)) - 1, 0)
            rows = [self._jobs[job_id] for job_id in ids[at : at + limit]]
        # Something is saved by it only where they are for another process.
        return [row._replace(arguments=b"") for row in rows] if values_only else rows

    def rows_in(self, map_id: str, states: Sequence[int], limit: int) -> list[tuple[str, int]]:
        """See :meth:`Storage.rows_in`."""
        with self._lock:
            found = self._map(map_id)
            jobs = () if found is None else (self._jobs[job_id] for job_id in found.ids)
            wanted = ((job.id, int(job.state)) for job in jobs if job.state in states)
            return list(islice(wanted, limit))

    def divide(self, worker: Worker, job: Job, division: Division) -> bool:
        """See :meth:`Storage.divide`."""
        with self._lock:
            if not self._is_held(job):
                return False
            self._divide(job, division)
            self._wake_all()
            self._settled.notify_all()
        return True

    def finish_map(self, map_id: str, now: int) -> bool:
        """See :meth:`Storage.finish_map`."""
        with self._lock:
            found = self._map(map_id)
            return found is not None and self._finish(found, now)

    def unfinished_maps(self) -> list[str]:
        """See :meth:`Storage.unfinished_maps`."""
        with self._lock:
            records = [found.record for found in self._maps.values()]
        return sorted(one.id for one in records if one.is_closed and one.finished_at is None)

    def retry_failed(self, map_id: str, now: int) -> int:
        """See :meth:`Storage.retry_failed`."""
        with self._lock:
            found = self._map(map_id)
            rows = [] if found is None else [self._jobs[job_id] for job_id in found.rows]
            failed = [job for job in rows if job.state in (State.FAILED, State.CANCELLED)]
            if found is None or not failed:
                return 0
            for job in failed:
                state = State.READY if job.limit_group is None else State.HELD
                again = job._replace(state=state, claim=None, available_at=now, finished_at=None)
                self._add(found, again)
            for job_id in found.forget_merges():
                del self._jobs[job_id]
            found.record = found.record._replace(level=0, result_id=None, finished_at=None)
            self._wake_all()
            self._settled.notify_all()
        return len(failed)

    def wait_until_map_ended(self, map_id: str, timeout: float | None) -> bool:
        """Wait until a map is finished or deleted, or for ``timeout`` seconds; whether it is."""

        def has_ended() -> bool:
            found = self._map(map_id)
            return found is None or found.record.finished_at is not None or self.is_closed

        with self._settled:
            return self._settled.wait_for(has_ended, timeout)

    def _map(self, map_id: str) -> "_Map | None":
        found = self._maps.get(map_id[:_KEY])
        return found if found is not None and found.record.id == map_id else None

    def _divide(self, job: Job, division: Division) -> None:
        self._jobs[job.id] = self._jobs[job.id]._replace(arguments=division.arguments)
        found = self._maps.get(job.id[:_KEY])
        for part in division.parts:
            if found is not None and part.id not in self._jobs:
                self._add(found, part)
        for outcome in division.outcomes:
            self._settle(outcome)

    def _add(self, found: "_Map", job: Job) -> None:
        self._put(job)
        found.add(job.id)

    def _finish(self, found: "_Map", now: int) -> bool:
        record = found.record
        if record.finished_at is not None:
            return True
        if not record.is_closed or found.has_unfinished():
            return False
        needs_merging = record.spec.merge is not None and record.result_id is None
        step = next_step(record, found.states_below() if needs_merging else (), now)
        for job in step.jobs:
            if self._is_of_map(job.id):
                self._add(found, job)
            else:
                self._put(job)
        found.record = step.record
        self._wake_all()
        self._settled.notify_all()
        return step.record.finished_at is not None

    def _is_of_map(self, job_id: str) -> bool:
        return job_id[:_KEY] in self._maps

    def _delete_old_maps(self, before: int) -> None:
        # Their rows are results as any others from then on.
        for key, found in list(self._maps.items()):
            if found.is_old(before):
                del self._maps[key]
                for job in found.jobs():
                    if job.finished_at is not None:
                        heapq.heappush(self._finished, (job.finished_at, job.id))


class _Map:
    """One map: its record, and the ids of its rows in their order."""

    def __init__(self, record: MapRecord, jobs: Mapping[str, Job]) -> None:
        """``jobs`` are those of the store, by id, as they are at each moment."""
        self.record = record
        self.ids: list[str] = []
        """Those of its merges come last."""
        self._jobs = jobs
        self._done = ""  # before this id, all have finished

    @property
    def rows(self) -> list[str]:
        """Those that hold calls."""
        return self.ids[: self._place(merge_id(self.record.id, 0, 0))]

    def jobs(self) -> Iterator[Job]:
        """Return all rows as they are, merges included."""
        return (self._jobs[job_id] for job_id in self.ids)

    def add(self, job_id: str) -> None:
        """Add a row, or have one that is there be unfinished again."""
        place = self._place(job_id)
        if place == len(self.ids) or self.ids[place] != job_id:
            insort(self.ids, job_id)
        self._done = min(self._done, job_id)

    def has_unfinished(self) -> bool:
        """Whether any row has not finished; looks at each that has only once."""
        for job_id in islice(self.ids, self._place(self._done), None):
            self._done = job_id
            if not State(self._jobs[job_id].state).is_final:
                return True
        return False

    def states_below(self) -> list[tuple[str, int]]:
        """Return id and state of what is merged next."""
        map_id, level = self.record.id, self.record.level
        below = self.rows
        if level:
            start = self._place(merge_id(map_id, level, 0))
            below = self.ids[start : self._place(merge_id(map_id, level + 1, 0))]
        return [(job_id, self._jobs[job_id].state) for job_id in below]

    def forget_merges(self) -> list[str]:
        """Take its merges out; return their ids."""
        start = len(self.rows)
        merges = self.ids[start:]
        del self.ids[start:]
        return merges

    def is_old(self, before: int) -> bool:
        """Whether it ended before this moment, or was given up by then by who adds rows to it."""
        record = self.record
        if record.finished_at is not None:
            return record.finished_at < before
        return (
            not record.is_closed
            and record.enqueued_at < before
            and all(job.finished_at is not None and job.finished_at < before for job in self.jobs())
        )

    def _place(self, job_id: str) -> int:
        return bisect_left(self.ids, job_id)
