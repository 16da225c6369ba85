"""Leases: which have ended, told by a stopwatch and by no clock that somebody may set."""

from collections.abc import Iterable
from typing import NamedTuple

from mainspring.core.clock import SECOND


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


class Leases:
    """Watches leases: one has ended that was seen unrenewed for as long as it lasts.

    Clocks of hosts differ and are stepped, so the moments in a lease are only compared with what
    they were at an earlier look.
    """

    def __init__(self, longest_pause: float) -> None:
        """After so many seconds without a look, all are watched anew.

        Something stood still, perhaps the whole machine with all who were to renew their leases.
        """
        self._longest_pause = longest_pause
        self._looked_at = 0.0
        self._first_seen: dict[Lease, float] = {}

    def ended(self, leases: Iterable[Lease], at: float) -> list[Lease]:
        """Return which of all the leases that there are have ended.

        ``at`` is the moment of the look: seconds on any stopwatch, the same at each look.
        """
        if at - self._looked_at > self._longest_pause:
            self.forget()
        self._looked_at = at
        self._first_seen = {lease: self._first_seen.get(lease, at) for lease in leases}
        return [one for one, since in self._first_seen.items() if at - since >= one.seconds]

    def forget(self) -> None:
        """Watch anew: nobody could renew a lease in the meantime."""
        self._first_seen.clear()
