"""Doubtful claims, whose answers were lost. No worker has their jobs until they are released."""

import threading
from collections.abc import Collection
from typing import Final

from mainspring.core.jobs import Worker

_FIRST: Final = 1.0  # seconds until the second search


class Doubts:
    """The doubtful claims of one process, searched less and less often until their worker retires.

    After a connection breaks, there is no way to know when the server has executed the statements
    sent on it, or that it never will: a claim may turn up after minutes. A search finds it at the
    latest when twice that time has passed. The jobs of a doubtful claim were never handed out, so
    they can be released safely at any time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[int, tuple[float, float]] = {}  # by claim: since when, next search
        self._next_at = float("inf")

    def add(self, claim: int, now: float) -> None:
        """Record a claim. ``now`` is in seconds of any monotonic clock, the same for all calls."""
        with self._lock:
            self._since[claim] = now, now
            self._next_at = min(self._next_at, now)

    def are_due(self, now: float) -> bool:
        """Return True if the search for some claims is due."""
        return now >= self._next_at

    def due(self, worker: Worker, now: float | None = None) -> list[int]:
        """Return the claims of a worker whose search is due, or all of them without ``now``."""
        with self._lock:
            return [
                claim
                for claim, (_, at) in self._since.items()
                if _is_of(worker, claim) and (now is None or at <= now)
            ]

    def put_off(self, claims: Collection[int], now: float) -> None:
        """Record that jobs of these claims could not be released yet."""
        with self._lock:
            for claim in claims:
                since, _ = self._since[claim]
                self._since[claim] = since, now + _FIRST
            self._find_next()

    def looked(self, claims: Collection[int], now: float) -> None:
        """Record that all jobs that these claims had taken by ``now`` are released."""
        with self._lock:
            for claim in claims:
                since, _ = self._since[claim]
                self._since[claim] = since, now + max(now - since, _FIRST)
            self._find_next()

    def forget(self, worker: Worker) -> None:
        """Forget the claims of a worker that has retired.

        If one still turns up, it is rescued, as are all claims of workers that are not registered.
        """
        with self._lock:
            for claim in list(self._since):
                if _is_of(worker, claim):
                    del self._since[claim]
            self._find_next()

    def _find_next(self) -> None:
        self._next_at = min((at for _, at in self._since.values()), default=float("inf"))


def _is_of(worker: Worker, claim: int) -> bool:
    return worker.first_claim <= claim <= worker.last_claim
