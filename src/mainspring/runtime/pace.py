"""How many jobs to claim at a time."""

from typing import Final

_WORK: Final = 100_000  # microseconds of work to claim
_MOST: Final = 1000
_GROWTH: Final = 4


class Pace:
    """Learns how long jobs take, so that a claim brings about 100 ms of work.

    Slows down at once and speeds up step by step: long tasks are not hoarded, short ones are
    claimed by the hundred.
    """

    def __init__(self) -> None:
        self._each: float | None = None
        self._last = 1

    def learn(self, jobs: int, microseconds: int) -> None:
        """Take in how long some jobs took together."""
        each = microseconds / jobs
        slower = self._each is None or each > self._each
        self._each = each if slower or self._each is None else (self._each + each) / 2

    def batch(self, slots: int) -> int:
        """Return how many jobs to claim for so many free slots: at least one for each."""
        if self._each is None:
            return slots
        size = min(int(_WORK / max(self._each, 1)), self._last * _GROWTH, _MOST)
        self._last = max(size, 1)
        return max(size * slots, slots) if size * slots <= _MOST else max(_MOST, slots)
