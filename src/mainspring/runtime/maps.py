"""Track the maps whose rows a worker runs, to find those that may have ended."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.core import clock
from mainspring.core.chunks import spec_of
from mainspring.core.jobs import Job, Outcome
from mainspring.exceptions import StoreLocked
from mainspring.maintenance.apart import Apart

_MOST: Final = 20  # maps finished at a time: each usually takes one round trip


class Maps:
    """The maps of one worker, for one thread at a time."""

    def __init__(self) -> None:
        self._maps: dict[str, str] = {}  # by row
        self._rows: Counter[str] = Counter()
        self._ended: set[str] = set()
        self._each = Apart("Map")

    def claimed(self, jobs: Sequence[Job]) -> None:
        """Record claimed jobs. Raises ``Unreadable`` before it has recorded any."""
        found = [
            (job.id, spec.map_id)
            for job in jobs
            if job.options is not None and (spec := spec_of(job.options)) is not None
        ]
        for job_id, map_id in found:
            self._maps[job_id] = map_id
            self._rows[map_id] += 1

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes that were settled, or dropped."""
        if self._maps:
            for outcome in outcomes:
                self._forget(outcome.id)

    def given_back(self, jobs: Sequence[Job]) -> None:
        """Record released jobs."""
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

    @property
    def has_ended(self) -> bool:
        """Return True if a map may have ended and is not finished yet."""
        return bool(self._ended)

    def finish_ended(self, storage: Storage) -> None:
        """Advance some of the maps that may have ended by one step.

        The next call continues with the others. Raises ``StoreUnavailable``.
        """
        ended = self.take_ended(_MOST)
        try:
            while ended:
                with suppress(StoreLocked):  # a caller adds to it; the finisher finishes it
                    self._each.do(ended[-1], partial(storage.finish_map, ended[-1], clock.now()))
                ended.pop()
        finally:
            self._ended.update(ended)

    def take_ended(self, most: int) -> list[str]:
        """Remove and return up to ``most`` maps of which this worker holds no more rows.

        Maps are left out if the exchange that settled the last rows has claimed more rows of them.
        """
        self._ended.difference_update(self._rows)
        return [self._ended.pop() for _ in range(min(most, len(self._ended)))]
