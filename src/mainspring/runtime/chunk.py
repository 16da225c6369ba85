"""A row of a map while a worker runs it: which calls have ended, run, and can be given away."""

import threading
from collections.abc import Sequence
from typing import Any

from mainspring.core.jobs import Job
from mainspring.runtime.board import ticks


class Chunk:
    """One claimed row.

    One thread runs its calls, slice by slice: those of a slice in one go, without a look in
    between. Another one may end the slice early, and take away what has not begun.
    """

    def __init__(self, job: Job, items: list[Any], started_at: int) -> None:
        """``started_at``: the moment, in microseconds."""
        self.job = job
        self.items = items
        self.started_at = started_at
        self.values: list[Any] = []
        """What the calls have returned; None for one that failed. Its length is the number of calls
        that have ended."""
        self.is_gone = False
        """Whether the claim is gone, or the calls are to end for another reason."""
        self.giving = threading.Lock()
        """Held while calls are given away, until it is known whether they are."""
        self.began = self.slice_began = self.looked_at = ticks()
        """When the row, and when the present slice, began; and when it was last looked whether to
        give calls away."""
        self._end = len(items)
        self._base = 0
        self._slice: list[Any] = []
        self._lock = threading.Lock()

    # Called by the thread that runs it

    def next_slice(self, size: int) -> list[Any] | None:
        """Return the next calls to run, which may become fewer; None if there are no more."""
        with self._lock:
            base = len(self.values)
            if base >= self._end:
                return None
            self._base, self.slice_began = base, ticks()
            self._slice = self.items[base : min(base + size, self._end)]
            return self._slice

    def rest_of_slice(self) -> list[Any]:
        """Return the calls of the slice that have not ended, after one that failed."""
        with self._lock:
            base = len(self.values)
            self._slice = self._slice[base - self._base :]
            self._base, self.slice_began = base, ticks()
            return self._slice

    @property
    def has_more(self) -> bool:
        """Whether calls are left, as far as none are given away just now."""
        return len(self.values) < self._end

    # Called by another one

    def cut_slice(self) -> None:
        """Have the present slice end with the call that runs."""
        with self._lock:
            self._cut()

    def take_rest(self) -> int | None:
        """Keep the calls up to the one that runs; return how many; None if there are no others.

        The others are not run any more, unless they are put back.
        """
        with self._lock:
            keep = self._cut()
            if keep is None or keep >= self._end:
                return None
            self._end = keep
            return keep

    def put_back(self) -> None:
        """Run all the calls after all."""
        with self._lock:
            self._end = len(self.items)

    def given_away(self, job: Job, items: Sequence[Any]) -> None:
        """Take note that the row now is ``job``, with these items."""
        with self._lock:
            self.job, self.items = job, list(items)
            self._end = len(self.items)

    def _cut(self) -> int | None:
        # The thread that runs the slice goes on meanwhile: what it has begun in the meantime lies
        # beyond a cut that came too late, and then nothing is known. Its iterator ends where the
        # list ends.
        for _ in range(3):
            at = len(self.values) - self._base + 1
            del self._slice[at:]
            if len(self.values) - self._base < at:
                return self._base + min(at, len(self._slice))
        return None
