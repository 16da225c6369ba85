"""Detect expired leases with a monotonic clock, so that changes of the time do not matter."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from mainspring.core.clock import SECOND

_LONGEST: Final = 366 * 24 * 3600.0  # seconds


class Lease(NamedTuple):
    """The lease of a registered worker, as its store has it."""

    worker_id: str
    heard_at: int
    """When it was renewed, in microseconds, by the worker's clock."""
    ends_at: int
    """When it ends unless it is renewed, by the same clock."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return (self.ends_at - self.heard_at) / SECOND


class Sightings(NamedTuple):
    """The observations of leases by other processes of this machine, on the same clock."""

    since: Mapping[Lease, float]
    """By lease: the time since which it has not been renewed."""
    looked_at: float
    """The time of the last look."""
    renewed_at: float
    """The time when the looking process had last renewed its own lease."""


class Leases:
    """Watches leases. A lease has ended when it was seen unrenewed for its whole duration.

    Clocks of hosts differ and are stepped, so the times in a lease are only compared with those of
    an earlier look.
    """

    def __init__(self, longest_pause: float) -> None:
        """After ``longest_pause`` seconds without a look, the watch on all leases restarts.

        The whole machine may have been suspended, so that no worker could renew its lease.
        """
        self._longest_pause = longest_pause
        self._looked_at: float | None = None
        self._since: dict[Lease, float] = {}

    @property
    def since(self) -> Mapping[Lease, float]:
        """By lease of the last look: the time since which it has not been renewed."""
        return self._since

    def ended(
        self,
        leases: Iterable[Lease],
        at: float,
        others: Sightings | None = None,
        renewed_at: float = 0.0,
    ) -> list[Lease]:
        """Return the leases that have ended. Pass all leases that exist.

        ``at`` is the time of this look, ``renewed_at`` the time when this process renewed its own
        lease. Both are seconds by one monotonic clock, the same at each look and for ``others``.
        """
        if self._looked_at is not None and at - self._looked_at > self._longest_pause:
            self.forget()
        known = {} if others is None else self._taken_over(others, at, renewed_at)
        self._looked_at = at
        self._since = {
            lease: min(self._since.get(lease, at), known.get(lease, at)) for lease in leases
        }
        return [one for one, since in self._since.items() if at - since >= self._term(one)]

    def _taken_over(self, others: Sightings, at: float, renewed_at: float) -> Mapping[Lease, float]:
        unseen = at - others.looked_at
        pause = max(unseen, renewed_at - others.renewed_at)
        if unseen < 0:  # from before the machine was started
            return {}
        if pause <= self._longest_pause:
            return others.since
        if self._looked_at is not None:  # this process was frozen too
            return {}
        # No process was looking, for example between workers with --drain. Whatever happened in
        # between, a live worker then renews its lease within a third of its duration.
        return {
            lease: min(since + pause - self._term(lease) / 3, at)
            for lease, since in others.since.items()
        }

    def _term(self, lease: Lease) -> float:
        # An impossible value is damaged. If its worker lives, it soon writes a new one.
        return lease.seconds if 0 < lease.seconds <= _LONGEST else self._longest_pause * 1.5

    def forget(self) -> None:
        """Restart the watch, because no worker could renew its lease in the meantime."""
        self._since = {}
