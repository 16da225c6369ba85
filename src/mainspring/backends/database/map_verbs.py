"""The storage verbs of maps that a caller uses, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.db import connections, transaction

from mainspring.backends.database import unique
from mainspring.backends.database.caller_verbs import CallerVerbs
from mainspring.backends.database.map_ids import calls_of, is_map_id, merges_of, rows_of
from mainspring.backends.database.patience import patiently
from mainspring.backends.database.storing import store
from mainspring.core.chunks import MapRecord, row_id
from mainspring.core.clock import now as clock_now
from mainspring.core.jobs import NEW_COLUMNS, Job, State
from mainspring.core.unique import Unique
from mainspring.exceptions import StoreUnavailable

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Row

_UNFINISHED: Final = [state for state in State if not state.is_final]


class MapVerbs(CallerVerbs):
    """Storing maps, and looking at them."""

    def open_map(self, record: MapRecord) -> None:
        """See :meth:`Storage.open_map`."""
        self._write_map("open_map", *record)

    def add_rows(self, map_id: str, rows: Sequence[Job], stored: int) -> None:
        """See :meth:`Storage.add_rows`."""
        connection, dialect = connections[self._alias], self._dialect

        def add(is_again: bool) -> None:
            # The record first: it has its lock taken by whoever ends the map, or deletes it.
            with dialect.atomic(connection):
                self._grow(map_id, stored)
                if rows:
                    store(connection, dialect, [row[:NEW_COLUMNS] for row in rows], is_again)

        with self._explained():
            patiently(connection, dialect, add)
        self._after_commit(partial(dialect.notify, connection))

    def add_unique_rows(
        self, map_id: str, calls: Sequence[tuple[Job, Unique | None]], stored: int
    ) -> list[Job]:
        """See :meth:`Storage.add_unique_rows`."""
        connection, dialect = connections[self._alias], self._dialect

        def add(is_again: bool) -> list[Job]:
            with dialect.atomic(connection):
                self._grow(map_id, stored)
                jobs = unique.enqueue_unique(connection, dialect, calls, is_again)
                unique.store_duplicates(connection, dialect, calls, jobs, is_again)
            return jobs

        with self._explained():
            jobs = patiently(connection, dialect, add)
        self._after_commit(partial(dialect.notify, connection))
        return jobs

    def _grow(self, map_id: str, stored: int) -> None:
        with connections[self._alias].cursor() as cursor:
            sql = self._dialect.sql("grow_map")
            cursor.execute(sql, (stored, map_id, self._backend))
            if not cursor.rowcount:
                raise ValueError(f"Map {map_id} takes no more rows.")

    def close_map(self, map_id: str) -> None:
        """See :meth:`Storage.close_map`; goes on with the map when the transaction commits."""
        self._write_map("close_map", map_id, self._backend)
        self._after_commit(partial(self._finish_if_done, map_id))

    def _finish_if_done(self, map_id: str) -> None:
        # Where that is not possible now, a worker will do it: the caller has stored its map.
        with suppress(StoreUnavailable):
            if self.rows_in(map_id, _UNFINISHED, 1):
                return
            is_new = not self._own.is_open
            try:
                self.finish_map(map_id, clock_now())
            finally:
                if is_new:  # a caller has no use for a connection beside Django's
                    self.close_thread()

    def find_map(self, map_id: str) -> MapRecord | None:
        """See :meth:`Storage.find_map`."""
        if not is_map_id(map_id):
            return None
        for row in self._read("find_map", map_id, self._backend):
            record = MapRecord(*row)
            return record._replace(is_closed=bool(record.is_closed))
        return None

    def count_calls(self, map_id: str) -> Mapping[int, int]:
        """See :meth:`Storage.count_calls`."""
        rows = self._read("count_calls", map_id, self._backend, *calls_of(map_id))
        return {state: int(number) for state, number in rows}

    def read_rows(
        self, map_id: str, start: int, limit: int, values_only: bool = False
    ) -> list[Job]:
        """See :meth:`Storage.read_rows`."""
        # Two statements, as in one MariaDB would read all rows before it, too.
        wanted, end = row_id(map_id, start), calls_of(map_id)[1]
        name = "read_values" if values_only else "read_rows"
        while True:
            first = self._row_with(map_id, wanted)
            rows = self._read(name, first, end, self._backend, max(limit, 2))
            if len(rows) < 2 or rows[1][0] > wanted:
                return self._jobs(rows[:limit])
            # It was divided in between, and another row has the call now.

    def _row_with(self, map_id: str, wanted: str) -> str:
        found: list[Row] = self._read("row_with", calls_of(map_id)[0], wanted)
        return found[0][0] if found else wanted

    def rows_in(self, map_id: str, states: Sequence[int], limit: int) -> list[tuple[str, int]]:
        """See :meth:`Storage.rows_in`."""
        if not states:
            return []
        # As many as the statement has room for, so that it is the same one for any number.
        wanted = [int(state) for state in states]
        wanted += wanted[:1] * (len(State) - len(wanted))
        found = self._read("rows_in", *rows_of(map_id), self._backend, *wanted, limit)
        return [(job_id, state) for job_id, state in found]

    def retry_failed(self, map_id: str, now: int) -> int:
        """See :meth:`Storage.retry_failed`."""
        connection = connections[self._alias]
        with self._explained():
            retried = patiently(
                connection, self._dialect, lambda _: self._retry_failed(map_id, now)
            )
        if retried:
            self._after_commit(partial(self._dialect.notify, connection))
        return retried

    def _retry_failed(self, map_id: str, now: int) -> int:
        dialect = self._dialect
        with transaction.atomic(self._alias), connections[self._alias].cursor() as cursor:
            cursor.execute(dialect.sql("lock_to_retry"), (map_id, self._backend))
            if not cursor.rowcount:
                return 0
            cursor.execute(dialect.sql("failed_rows"), (*calls_of(map_id), self._backend))
            failed = dict(cursor.fetchall())
            if not failed:
                return 0
            dialect.retry(cursor, list(failed), now)
            if held := [job_id for job_id, has_limits in failed.items() if has_limits]:
                dialect.hold(cursor, held)
            cursor.execute(dialect.sql("delete_merges"), (*merges_of(map_id), self._backend))
            cursor.execute(dialect.sql("reopen_map"), (map_id,))
        return len(failed)

    def _write_map(self, name: str, *params: Any) -> None:
        # Each of these statements may be done again, as after a lost answer.
        connection, dialect = connections[self._alias], self._dialect

        def write(_is_again: bool) -> None:
            with connection.cursor() as cursor:
                cursor.execute(dialect.sql(name), params)

        with self._explained():
            patiently(connection, dialect, write)
