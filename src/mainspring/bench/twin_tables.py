"""Two sets of the job table's partitions, one empty and one full, that take turns.

So that the two are measured minute by minute, and a machine that slows down slows both.
"""

from typing import Final

from mainspring.bench.engines import query

_STATES: Final = {"live": "0, 1, 2", "finished": "3, 4, 5"}

# Ids in order of time, as ours are: the finished before, the deferred after what is enqueued.
_FINISHED: Final = """
    INSERT INTO other_finished (id, backend, task_path, queue_name, priority, available_at, state,
        arguments, enqueued_at, started_at, last_attempted_at, finished_at, worker_ids)
    SELECT lpad(to_hex(n), 32, '0'), 'default', 'mainspring.bench.queue_tasks.no_op', 'default', 0,
        n, 3, '[[1,2],{{}}]', n, n, n, n, '["bench-1234-5678abcd"]'
    FROM generate_series({first}, {last}) AS n"""
_DEFERRED: Final = """
    INSERT INTO other_live (id, backend, task_path, queue_name, priority, available_at, state,
        arguments, run_after, enqueued_at)
    SELECT 'f' || lpad(to_hex(n), 31, '0'), 'default', 'mainspring.bench.queue_tasks.no_op',
        'default', 0, {year_2100} + n, 0, '[[1,2],{{}}]', {year_2100} + n, n
    FROM generate_series({first}, {last}) AS n"""
_YEAR_2100: Final = 4_102_444_800_000_000  # microseconds


class TwinTables:
    """The partitions ``other_live`` and ``other_finished``, beside those in use."""

    def __init__(self) -> None:
        self._finished = self._deferred = 0
        for name, states in _STATES.items():
            query(f"CREATE TABLE other_{name} (LIKE mainspring_job_{name} INCLUDING ALL)")
            for table in (f"mainspring_job_{name}", f"other_{name}"):
                # What is known to fit is not read again each time it is attached.
                query(f"ALTER TABLE {table} ADD CHECK (state IN ({states}) AND state IS NOT NULL)")
        self.swap()
        self._prepare()
        self.swap()

    def fill_other(self, finished: int, deferred: int) -> None:
        """Have the other partitions hold so many rows."""
        values = {"year_2100": _YEAR_2100}
        query(_FINISHED.format(first=self._finished + 1, last=finished, **values))
        query(_DEFERRED.format(first=self._deferred + 1, last=deferred, **values))
        self._finished, self._deferred = finished, deferred
        for name in _STATES:
            query(f"VACUUM ANALYZE other_{name}")
        query("CHECKPOINT")

    def swap(self) -> None:
        """Have the other partitions used, and those that were put aside."""
        for name, states in _STATES.items():
            query(f"ALTER TABLE mainspring_job DETACH PARTITION mainspring_job_{name}")
            query(f"ALTER TABLE mainspring_job_{name} RENAME TO aside_{name}")
            query(f"ALTER TABLE other_{name} RENAME TO mainspring_job_{name}")
            query(f"ALTER TABLE aside_{name} RENAME TO other_{name}")
            query(
                f"ALTER TABLE mainspring_job ATTACH PARTITION mainspring_job_{name} "
                f"FOR VALUES IN ({states})"
            )

    def drop_other(self) -> None:
        """Remove the other partitions."""
        for name in _STATES:
            query(f"DROP TABLE other_{name}")

    def _prepare(self) -> None:
        from django.db import connection

        from mainspring.backends.database.vendors import dialect_of

        dialect_of(connection).prepare_database(connection)
