"""Staging and admitting: many jobs, of many limit groups, in one statement."""

from collections.abc import Mapping, Sequence
from typing import Any

from mainspring.backends.database.vendors.base import Row
from mainspring.backends.database.vendors.postgresql.text import array, bytes_array
from mainspring.backends.database.vendors.skipping_dialect import SkippingDialect


class AdmittingDialect(SkippingDialect):
    """What PostgreSQL does about deferred jobs and about those that wait for limits."""

    def texts(self, texts: Sequence[str]) -> Any:
        """Return texts of printable ASCII as an array literal."""
        return array(texts)

    def stage(self, cursor: Any, due_from: int, now: int, most: int) -> int:
        """Stage and hold in one statement."""
        cursor.execute(self.sql("stage"), (self.backend, now, most, self.sign, due_from))
        staged: int = cursor.fetchone()[0]
        return staged

    def hold(self, cursor: Any, ids: Sequence[str], is_own: bool = False) -> None:
        """Hold them; our own connections take PostgreSQL's own placeholders."""
        cursor.execute(self.sql("hold_new" if is_own else "hold"), (self.sign, self.ids(ids)))

    def wait_briefly(self, cursor: Any) -> None:
        """Wait for 50 ms."""
        cursor.execute(self.sql("wait_briefly"))

    def lock_limits(self, cursor: Any, names: Sequence[str], is_alone: bool) -> Sequence[Row]:
        """Lock them; set for the transaction how long to wait for what."""
        cursor.execute(self.sql("lock_limits"), (self.texts(names), is_alone))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def first_held(
        self, cursor: Any, rooms: Mapping[str, int], paused: Sequence[str]
    ) -> Sequence[Row]:
        """Choose from all groups in one statement."""
        groups, numbers = array(list(rooms)), array(list(rooms.values()))
        cursor.execute(self.sql("first_held"), (self.backend, groups, numbers, list(paused)))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def longest_held(
        self, cursor: Any, groups: Sequence[str], paused: Sequence[str]
    ) -> Sequence[Row]:
        """Likewise."""
        cursor.execute(self.sql("longest_held"), (self.backend, array(groups), list(paused)))
        rows: Sequence[Row] = cursor.fetchall()
        return rows

    def admit(
        self, cursor: Any, ids: Sequence[str], limits: Sequence[tuple[str, bytes, int]]
    ) -> None:
        """Do all in one statement."""
        cursor.execute(self.sql("admit"), (array(ids), *_limit_columns(limits)))

    def save_limits(self, cursor: Any, limits: Sequence[tuple[str, bytes, int]]) -> None:
        """Write all in one statement."""
        cursor.execute(self.sql("save_limits"), _limit_columns(limits))


def _limit_columns(limits: Sequence[tuple[str, bytes, int]]) -> tuple[str, str, str]:
    # None changes where a job is admitted that has had its slots before, and nobody since.
    names, used, idle_at = zip(*limits, strict=True) if limits else ((), (), ())
    return array(names), bytes_array(used), array(idle_at)
