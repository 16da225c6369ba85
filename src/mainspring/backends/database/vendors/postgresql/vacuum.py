"""Vacuum of the live table, between two looks of autovacuum, which are a minute apart."""

from typing import Any, Final

from psycopg import Connection, RawCursor

from mainspring.backends.database.statements import statement

_LOOK_AFTER: Final = 20_000  # jobs that this process has settled
_DEAD: Final = 200_000  # rows, 50 MB: at fewer a minute, autovacuum is soon enough
_DEAD_SHARE: Final = 0.1  # of the live rows: the indexes of a long backlog take their time


class Vacuum:
    """When one process has the live table vacuumed."""

    def __init__(self, dead: int = _DEAD, look_after: int = _LOOK_AFTER) -> None:
        """``dead`` rows are let be, as is what fewer than ``look_after`` jobs have left."""
        self._dead = dead
        self._look_after = look_after
        self._settled = 0

    def count(self, settled: int) -> None:
        """Take note of jobs that were settled, each of which leaves two dead rows."""
        self._settled += settled

    @property
    def may_be_due(self) -> bool:
        """Whether it is worth to ask the server."""
        return self._settled >= self._look_after

    def run(self, raw: Connection[Any]) -> bool:
        """Vacuum the table if that is due and nobody else does; whether it was due."""
        self._settled = 0
        with RawCursor(raw) as cursor:
            due = statement("postgresql", "vacuum_due").encode()
            row = cursor.execute(due, (_DEAD_SHARE, self._dead), prepare=False).fetchone()
            if row is None:
                return False
            cursor.execute(statement("postgresql", "vacuum").encode(), prepare=False)
        return True
