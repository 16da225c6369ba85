"""The storage verbs of maps: rows of many calls, their record, and how both come to an end."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mainspring.core.chunks import Division, MapRecord
from mainspring.core.jobs import Job, Worker
from mainspring.core.unique import Unique


class MapsSeen(NamedTuple):
    """The result of one look at some maps."""

    ended: Sequence[str]
    """The ids of maps that may have ended and are not marked as finished."""
    last: str
    """The id to continue after; an empty string if all maps have been looked at."""


class MapStorage(ABC):
    """Those of one backend alias; rows themselves are jobs, which the other verbs work on.

    See core/chunks.py for what a row is. The verbs of callers (all but :meth:`divide`,
    :meth:`finish_map` and :meth:`unfinished_maps`) work in the caller's transaction where the store
    has one.
    """

    @abstractmethod
    def open_map(self, record: MapRecord) -> None:
        """Store the record of a new map."""

    @abstractmethod
    def add_rows(self, map_id: str, rows: Sequence[Job], stored: int) -> None:
        """Store more rows of a map, all or none, which then has ``stored`` calls; wake workers."""

    @abstractmethod
    def add_unique_rows(
        self, map_id: str, calls: Sequence[tuple[Job, Unique | None]], stored: int
    ) -> list[Job]:
        """Do :meth:`add_rows` for rows of one call each, and say which job stands for each.

        As :meth:`Storage.enqueue_unique` does. What another one stands for is stored as cancelled.
        """

    @abstractmethod
    def close_map(self, map_id: str) -> None:
        """Have a map take no more rows; then do what :meth:`finish_map` does."""

    @abstractmethod
    def find_map(self, map_id: str) -> MapRecord | None:
        """Return the record of a map."""

    @abstractmethod
    def count_calls(self, map_id: str) -> Mapping[int, int]:
        """Return how many of the calls stored so far are in each state."""

    @abstractmethod
    def read_rows(
        self, map_id: str, start: int, limit: int, values_only: bool = False
    ) -> list[Job]:
        """Return up to ``limit`` rows in their order, from the one that has call ``start`` on.

        ``values_only``: their arguments may be left out, and are empty then.
        """

    @abstractmethod
    def rows_in(self, map_id: str, states: Sequence[int], limit: int) -> list[tuple[str, int]]:
        """Return id and state of rows in these states, merges included, in their order."""

    @abstractmethod
    def divide(self, worker: Worker, job: Job, division: Division) -> bool:
        """Divide a claimed row, if its claim still holds; whether it does.

        All or nothing: the row keeps the calls that the division says, the parts are stored, and
        the outcomes are settled. Wakes workers where parts are ready. To do it again, as after a
        lost answer, is refused, as the claim no longer holds, or changes nothing.
        """

    @abstractmethod
    def finish_map(self, map_id: str, now: int) -> bool:
        """Go on with a map that is closed and has no unfinished row; whether it is at its end.

        Where values are to be reduced: the merges of the next level are enqueued, with
        :func:`~mainspring.core.merging.next_step`, until one is left. Then the map is finished and
        what is to follow is enqueued. Does nothing for a map that is finished, open or unknown.
        Callers who wait for the map's id are told of its end.
        """

    @abstractmethod
    def unfinished_maps(self) -> list[str]:
        """Return the ids of maps that are closed and not finished, for who looks by itself."""

    def look_at_maps(self, after: str, limit: int) -> MapsSeen:
        """Look at up to ``limit`` maps with ids greater than ``after``, in the order of their ids.

        The number of statements does not depend on the number of maps.
        """
        ids = [map_id for map_id in self.unfinished_maps() if map_id > after][:limit]
        return MapsSeen(ids, ids[-1] if len(ids) == limit else "")

    @abstractmethod
    def retry_failed(self, map_id: str, now: int) -> int:
        """Have the failed calls of a map run again; return how many rows there were.

        Each becomes READY as a row that has not failed: its errors and workers stay on record. A
        map that was finished is so no more: what it was reduced to is deleted, and it comes to an
        end once more.
        """
