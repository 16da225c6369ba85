"""The maps whose rows a worker runs: which of them may have come to an end."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from mainspring.backends.storage import Storage
from mainspring.core import clock
from mainspring.core.chunks import spec_of
from mainspring.core.jobs import Job, Outcome
from mainspring.exceptions import StoreLocked


class Maps:
    """Those of one worker; one thread at a time."""

    def __init__(self) -> None:
        self._maps: dict[str, str] = {}  # by row
        self._rows: Counter[str] = Counter()
        self._ended: set[str] = set()

    def claimed(self, jobs: Sequence[Job]) -> None:
        """Take note of jobs that were claimed."""
        for job in jobs:
            if job.options is not None and (spec := spec_of(job.options)) is not None:
                self._maps[job.id] = spec.map_id
                self._rows[spec.map_id] += 1

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of outcomes that were settled, or dropped."""
        if self._maps:
            for outcome in outcomes:
                self._forget(outcome.id)

    def given_back(self, jobs: Sequence[Job]) -> None:
        """Take note of jobs that were released."""
        if self._maps:
            for job in jobs:
                self._forget(job.id)

    def _forget(self, job_id: str) -> None:
        map_id = self._maps.pop(job_id, None)
        if map_id is None:
            return
        self._rows[map_id] -= 1
        if not self._rows[map_id]:
            del self._rows[map_id]
            self._ended.add(map_id)

    def finish_ended(self, storage: Storage) -> None:
        """Bring the maps that may have come to their end a step further.

        Raises ``StoreUnavailable``.
        """
        for map_id in self.take_ended():
            with suppress(StoreLocked):  # by one who adds to it; the finisher comes back to it
                storage.finish_map(map_id, clock.now())

    def take_ended(self) -> list[str]:
        """Return the maps of which this worker has no more rows, each once.

        Where it claims more of them in the same go as it settles the last ones, none is taken.
        """
        ended = [map_id for map_id in self._ended if map_id not in self._rows]
        self._ended.clear()
        return ended
