"""The raw limit of SQLite: the same table and statements' effect, without a framework."""

import json
import multiprocessing
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_INSERT: Final = (
    "INSERT INTO mainspring_job (id, backend, task_path, queue_name, priority, available_at, "
    "state, claim, arguments, run_after, enqueued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CLAIM: Final = (
    "UPDATE mainspring_job SET state = 2, claim = ?1 WHERE id IN (SELECT id FROM mainspring_job "
    "WHERE state = 1 AND backend = 'default' AND queue_name = 'default' "
    "ORDER BY priority DESC, available_at DESC LIMIT ?2) "
    "RETURNING id, task_path, arguments, worker_ids, errors"
)
_SETTLE: Final = (
    "UPDATE mainspring_job SET state = 3, claim = NULL, started_at = ?, last_attempted_at = ?, "
    "finished_at = ?, worker_ids = ?, return_value = ? WHERE id = ? AND claim = ? AND state = 2"
)
_BATCH: Final = 500


def inserts_per_second(path: Path, rows: Sequence[tuple[object, ...]]) -> float:
    """Insert ``rows`` one by one, each in a transaction of its own."""
    connection = _connect(path)
    start = time.perf_counter()
    for row in rows:
        connection.execute(_INSERT, row)
    elapsed = time.perf_counter() - start
    connection.close()
    return len(rows) / elapsed


def bulk_per_second(path: Path, rows: Sequence[tuple[object, ...]]) -> float:
    """Insert ``rows``, 10,000 in each transaction."""
    connection = _connect(path)
    start = time.perf_counter()
    for i in range(0, len(rows), 10_000):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, rows[i : i + 10_000])
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - start
    connection.close()
    return len(rows) / elapsed


def drained_per_second(path: Path, jobs: int, processes: int) -> float:
    """Settle and claim in one transaction, again and again, until nothing is ready."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes + 1)
    loops = [context.Process(target=_drain, args=(path, n, gate)) for n in range(processes)]
    for loop in loops:
        loop.start()
    gate.wait()
    start = time.perf_counter()
    for loop in loops:
        loop.join()
    return jobs / (time.perf_counter() - start)


def _drain(path: Path, number: int, gate: "multiprocessing.synchronize.Barrier") -> None:
    connection = _connect(path)
    worker = json.dumps([f"bare-{number}"])
    claim, outcomes = (number + 1) << 32, list[tuple[object, ...]]()
    gate.wait()
    while True:
        claim += 1
        connection.execute("BEGIN IMMEDIATE")
        if outcomes:
            connection.executemany(_SETTLE, outcomes)
        rows = connection.execute(_CLAIM, (claim, _BATCH)).fetchall()
        connection.execute("COMMIT")
        if not rows and not outcomes:
            break
        now = time.time_ns() // 1000
        outcomes = [(now, now, now, worker, None, row[0], claim) for row in rows]
    connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=60, isolation_level=None)
