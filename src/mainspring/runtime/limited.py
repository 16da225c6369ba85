"""Track jobs that hold a slot of a limit: how many a worker may keep, and which limits it frees."""

from collections.abc import Collection, Sequence
from typing import Final

from mainspring.core.jobs import Job, Outcome
from mainspring.core.limits import has_slots

_WORK: Final = 2_000  # microseconds of work that a slot may have waiting behind each other
_RARE: Final = 0.01


class Limited:
    """The limited jobs of one worker, for one thread at a time.

    Jobs that are claimed but not running keep others from running. So a worker keeps only as many
    as it runs at once, or as take 2 ms, and releases the rest at once.
    """

    def __init__(self) -> None:
        self._groups: dict[str, str] = {}  # by job
        self._kept: tuple[set[str], set[str]] = set(), set()  # sync jobs, async jobs
        self._freed: set[str] = set()
        self._share = 0.0
        self._each = _WORK  # microseconds

    def claimed(self, jobs: Sequence[Job]) -> None:
        """Record claimed jobs. Raises ``Unreadable`` before it has recorded any."""
        found = {
            job.id: job.limit_group
            for job in jobs
            if job.limit_group is not None and has_slots(job.limit_group)
        }
        if jobs and (found or self._share):
            share = (self._share + len(found) / len(jobs)) / 2
            self._share = share if share > _RARE else 0.0
        self._groups.update(found)

    def freed_by(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Return the limit groups of outcomes, to be passed to the store with them."""
        if self._groups:
            for outcome in outcomes:
                group = self._forget(outcome.id)
                if group is not None:
                    self._freed.add(group)
                    self._learn(outcome)
        return self._freed

    def _forget(self, job_id: str) -> str | None:
        for kept in self._kept:
            kept.discard(job_id)
        return self._groups.pop(job_id, None)

    def _learn(self, outcome: Outcome) -> None:
        # As a Pace does: slower at once, faster step by step.
        if outcome.finished_at is not None and outcome.last_attempted_at is not None:
            took = outcome.finished_at - outcome.last_attempted_at
            self._each = max(took, (self._each + took) // 2, 1)

    def told(self) -> None:
        """Record that the store has received the groups from :meth:`freed_by`."""
        if self._freed:
            self._freed = set()

    def given_back(self, jobs: Sequence[Job]) -> None:
        """Record released jobs."""
        if self._groups:
            for job in jobs:
                self._forget(job.id)

    def parted(self, jobs: list[Job], is_async: bool, slots: int) -> tuple[list[Job], list[Job]]:
        """Return which of ``jobs``, just claimed and all of one kind, to keep and to release.

        ``slots``: how many jobs of that kind the worker runs at once.
        """
        if not self._groups:
            return jobs, []
        kept = self._kept[is_async]
        found = [job.id for job in jobs if job.id in self._groups]
        room = max(self._most(slots) - len(kept), 0)
        kept.update(found[:room])
        surplus = set(found[room:])
        return (
            [job for job in jobs if job.id not in surplus],
            [job for job in jobs if job.id in surplus],
        )

    def room(self, room: int, slots: int) -> int:
        """Return how many jobs to claim so that, as it looks, no surplus comes."""
        if not self._share:
            return room
        return min(room, max(int(self._most(slots) / self._share), 1))

    def _most(self, slots: int) -> int:
        return slots * max(_WORK // self._each, 1)
