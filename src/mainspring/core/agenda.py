"""An agenda: what is to be looked at, and when."""

import heapq


class Agenda:
    """Names by moment, so that nothing is to be done until the next one is due."""

    def __init__(self) -> None:
        self._moments: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # with what was put elsewhere since

    def put(self, name: str, moment: int | None) -> None:
        """Have a name be due at a moment instead of another one; never, with None."""
        if moment is None:
            self._moments.pop(name, None)
        elif self._moments.get(name) != moment:
            self._moments[name] = moment
            heapq.heappush(self._heap, (moment, name))

    @property
    def next_at(self) -> int | None:
        """When the next name is due; None where there is none."""
        while self._heap:
            moment, name = self._heap[0]
            if self._moments.get(name) == moment:
                return moment
            heapq.heappop(self._heap)
        return None

    def take_due(self, now: int, most: int) -> dict[str, int]:
        """Take out, with their moments, up to so many names that are due."""
        due: dict[str, int] = {}
        while len(due) < most and (at := self.next_at) is not None and at <= now:
            name = heapq.heappop(self._heap)[1]
            due[name] = self._moments.pop(name)
        return due
