"""The raw limits of MariaDB and MySQL: the same effects with the driver alone."""

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

_INSERT: Final = (
    "INSERT INTO mainspring_job (id, backend, task_path, queue_name, priority, available_at, "
    "state, claim, arguments, run_after, enqueued_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_CHOOSE: Final = (
    "SELECT id, task_path, arguments, worker_ids, errors FROM mainspring_job "
    "WHERE state = 1 AND backend = 'default' AND queue_name = 'default' "
    "ORDER BY priority DESC, available_at DESC LIMIT %s FOR UPDATE SKIP LOCKED"
)
_CLAIM: Final = "UPDATE mainspring_job SET state = 2, claim = %s WHERE state = 1 AND id IN %s"
_SETTLE: Final = (
    "UPDATE mainspring_job SET state = 3, claim = NULL, started_at = %s, last_attempted_at = %s, "
    "finished_at = %s, worker_ids = '[\"bare\"]' WHERE state = 2 AND claim = %s AND id IN %s"
)
_BATCH: Final = 500


def execute(server: Mapping[str, Any], sql: str) -> None:
    """Run one statement."""
    connection = _connect(server)
    connection.cursor().execute(sql)
    connection.close()


def inserts_per_second(server: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]) -> float:
    """Insert ``rows`` one by one, each in a transaction of its own."""
    connection = _connect(server)
    cursor = connection.cursor()
    values = [_plain(row) for row in rows]
    start = time.perf_counter()
    for row in values:
        cursor.execute(_INSERT, row)
    elapsed = time.perf_counter() - start
    connection.close()
    return len(rows) / elapsed


def bulk_per_second(server: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]) -> float:
    """Insert ``rows``, many to a statement, 10,000 in each transaction."""
    connection = _connect(server)
    cursor = connection.cursor()
    values = [_plain(row) for row in rows]
    start = time.perf_counter()
    for i in range(0, len(values), 10_000):
        cursor.execute("BEGIN")
        cursor.executemany(_INSERT, values[i : i + 10_000])
        cursor.execute("COMMIT")
    elapsed = time.perf_counter() - start
    connection.close()
    return len(rows) / elapsed


def drained_per_second(server: Mapping[str, Any], processes: int) -> float:
    """Settle and claim in one transaction, again and again, until nothing is ready."""
    context = multiprocessing.get_context("spawn")
    gate, done = context.Barrier(processes + 1), context.Queue()
    loops = [
        context.Process(target=_drain, args=(dict(server), n, gate, done)) for n in range(processes)
    ]
    for loop in loops:
        loop.start()
    gate.wait()
    start = time.perf_counter()
    jobs = sum(done.get() for _ in loops)
    elapsed = time.perf_counter() - start
    for loop in loops:
        loop.join()
    return float(jobs / elapsed)


def _drain(server: Mapping[str, Any], number: int, gate: Any, done: Any) -> None:
    connection = _connect(server)
    cursor = connection.cursor()
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    claim, total, held = (number + 1) << 32, 0, list[str]()
    gate.wait()
    while True:
        cursor.execute("BEGIN")
        if held:
            now = time.time_ns() // 1000
            cursor.execute(_SETTLE, (now, now, now, claim, held))
        claim += 1
        cursor.execute(_CHOOSE, (_BATCH,))
        held = [row[0] for row in cursor.fetchall()]
        if held:
            cursor.execute(_CLAIM, (claim, held))
        cursor.execute("COMMIT")
        total += len(held)
        if not held:
            break
    connection.close()
    done.put(total)


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:6], int(row[6]), *row[7:])


def _connect(server: Mapping[str, Any]) -> Any:
    from mainspring.bench import mysql_driver

    mysql_driver.install()
    import MySQLdb  # type: ignore[import-untyped]

    return MySQLdb.connect(**server, autocommit=True, charset="utf8mb4")
