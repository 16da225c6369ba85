"""The keys of unique calls, for a store in memory."""

from collections.abc import Mapping

from mainspring.core.jobs import Job
from mainspring.core.unique import Unique


class UniqueJobs:
    """By key, the job that stands for all calls of that key; the caller holds a lock."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        """``jobs`` are those of the store, by id, as they are at each moment."""
        self._jobs = jobs
        self._held: dict[str, tuple[str, int | None]] = {}
        self._keys: dict[str, str] = {}  # by the id of the job

    def pending(self, unique: Unique, now: int) -> Job | None:
        """Return the job that stands for a new one of this key, if there is one."""
        job_id, expires_at = self._held.get(unique.key, (None, None))
        job = None if job_id is None else self._jobs.get(job_id)
        if job is None or not unique.counts(job.state, expires_at, now):
            return None
        return job

    def take(self, unique: Unique, job: Job) -> None:
        """Have a new job stand for those of its key from now on."""
        self._held[unique.key] = (job.id, unique.expires_at)
        self._keys[job.id] = unique.key

    def forget(self, job_id: str) -> None:
        """Give up the key of a job that is deleted, unless another one has it."""
        key = self._keys.pop(job_id, None)
        if key is not None and self._held[key][0] == job_id:
            del self._held[key]
