"""The raw limits of PostgreSQL: the same effects with psycopg alone, without a framework."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

from mainspring.backends.database.statements import statement

_BATCH: Final = 500
_PROBES: Final = 100
_INSERT: Final = (
    "INSERT INTO mainspring_job_live (id, backend, task_path, queue_name, priority, available_at, "
    "state, claim, arguments, run_after, enqueued_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_COPY: Final = (
    "COPY mainspring_job_live (id, backend, task_path, queue_name, priority, available_at, state, "
    "claim, arguments, run_after, enqueued_at) FROM STDIN"
)
_SIMPLE_TABLE: Final = (
    "CREATE TABLE simple_queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "status smallint NOT NULL DEFAULT 0, path text NOT NULL, args text NOT NULL, result text, "
    "finished timestamptz)"
)
_SIMPLE_CLAIM: Final = (
    "UPDATE simple_queue SET status = 1 WHERE id IN (SELECT id FROM simple_queue WHERE status = 0 "
    "ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id, path, args"
)
_SIMPLE_COMPLETE: Final = (
    "UPDATE simple_queue SET status = 2, result = 'null', finished = now() WHERE id = ANY (%s)"
)


def execute(dsn: str, sql: str) -> None:
    """Run one statement outside a transaction."""
    with _connect(dsn) as connection:
        connection.execute(sql)


def inserts_per_second(dsn: str, rows: Sequence[tuple[Any, ...]]) -> float:
    """Insert ``rows`` one by one, prepared, each in a transaction of its own."""
    values = [(*row[:6], int(row[6]), *row[7:]) for row in rows]
    with _connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(_INSERT, values[0], prepare=True)
        start = time.perf_counter()
        for row in values[1:]:
            cursor.execute(_INSERT, row, prepare=True)
        return (len(values) - 1) / (time.perf_counter() - start)


def copied_per_second(dsn: str, rows: Sequence[tuple[Any, ...]]) -> float:
    """Copy ``rows``, already made into lines, 10,000 a time."""
    blocks = ["".join(map(_line, rows[i : i + 10_000])) for i in range(0, len(rows), 10_000)]
    with _connect(dsn) as connection, connection.cursor() as cursor:
        start = time.perf_counter()
        for block in blocks:
            with cursor.copy(_COPY) as copy:
                copy.write(block)
        return len(rows) / (time.perf_counter() - start)


def drained_per_second(dsn: str, processes: int) -> float:
    """Settle and claim in one pipelined round trip, with results, until nothing is ready."""
    return _timed(_drain, dsn, processes)


def completed_per_second(dsn: str, jobs: int, processes: int) -> float:
    """Claim and complete on a small table: 93,000 a second is what a design began with."""
    with _connect(dsn) as connection:
        connection.execute("DROP TABLE IF EXISTS simple_queue")
        connection.execute(_SIMPLE_TABLE)
        connection.execute("CREATE INDEX ON simple_queue (id) WHERE status = 0")
        arguments = '{"args": [12345678, 12345678], "kwargs": {}}'
        fill = "INSERT INTO simple_queue (path, args) SELECT %s, %s FROM generate_series(1, %s)"
        connection.execute(fill, ("myapp.tasks.send_welcome_email", arguments, jobs))
        connection.execute("ANALYZE simple_queue")
        connection.execute("CHECKPOINT")
    rate = _timed(_complete, dsn, processes)
    execute(dsn, "DROP TABLE simple_queue")
    return rate


def idle_ms(dsn: str) -> float:
    """Insert, commit and notify; another thread receives the notification, claims and commits.

    Return the median time from before the insert to after the claim.
    """
    with _connect(dsn) as connection:
        connection.execute("CREATE TABLE idle_queue (id serial PRIMARY KEY, status int)")
    told, delays = threading.Event(), list[float]()
    listener = threading.Thread(target=_claim_when_told, args=(dsn, told, delays))
    listener.start()
    with _connect(dsn) as connection, connection.cursor() as cursor:
        for _ in range(_PROBES):
            told.wait()
            told.clear()
            time.sleep(0.05)
            delays.append(-time.perf_counter())
            cursor.execute("INSERT INTO idle_queue (status) VALUES (0)", prepare=True)
            cursor.execute("NOTIFY idle_queue", prepare=True)
        listener.join()
        cursor.execute("DROP TABLE idle_queue")
    return median(delays) * 1000


def _claim_when_told(dsn: str, told: threading.Event, delays: list[float]) -> None:
    with _connect(dsn) as connection, _connect(dsn) as claiming:
        connection.execute("LISTEN idle_queue")
        told.set()
        for _ in connection.notifies(stop_after=_PROBES):
            claiming.execute("UPDATE idle_queue SET status = 1 WHERE status = 0", prepare=True)
            delays[-1] += time.perf_counter()
            told.set()


def _timed(loop: Callable[..., None], dsn: str, processes: int) -> float:
    context = multiprocessing.get_context("spawn")
    gate, done = context.Barrier(processes + 1), context.Queue()
    loops = [context.Process(target=loop, args=(dsn, n, gate, done)) for n in range(processes)]
    for one in loops:
        one.start()
    gate.wait()
    start = time.perf_counter()
    jobs = sum(done.get() for _ in loops)
    elapsed = time.perf_counter() - start
    for one in loops:
        one.join()
    return float(jobs / elapsed)


def _drain(dsn: str, number: int, gate: Any, done: Any) -> None:
    from psycopg import RawCursor
    from psycopg.pq import Format

    claim_sql = statement("postgresql", "claim_any_newest").encode()
    settle_sql = statement("postgresql", "settle").encode()
    claim, total, settled = (number + 1) << 32, 0, list[str]()
    with _connect(dsn) as connection:
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"):
            connection.execute(f"SET {setting} = off".encode())
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.prepare_threshold = 0
        gate.wait()
        while True:
            claim += 1
            claiming = RawCursor(connection)
            claiming.format = Format.BINARY
            with connection.pipeline():
                if settled:
                    RawCursor(connection).execute(settle_sql, settled)
                claiming.execute(claim_sql, (claim, "default", [], _BATCH))
            rows = claiming.fetchall()
            total += len(rows)
            if not rows:
                break
            settled = _outcomes([row[2] for row in rows], claim)
    done.put(total)


def _outcomes(ids: list[str], claim: int) -> list[str]:
    number, now = len(ids), str(time.time_ns() // 1000)
    moments = _array([now] * number)
    worker = _array(['"\\\\x5b2262617265225d"'] * number)  # ["bare"]
    nothing = _array(["NULL"] * number)
    return [
        _array(ids),
        _array([str(claim)] * number),
        _array(["3"] * number),
        *([moments] * 4),
        worker,
        nothing,
        nothing,
    ]


def _complete(dsn: str, number: int, gate: Any, done: Any) -> None:
    del number
    total = 0
    with _connect(dsn) as connection:
        gate.wait()
        while rows := connection.execute(_SIMPLE_CLAIM, (_BATCH,), prepare=True).fetchall():
            connection.execute(_SIMPLE_COMPLETE, ([row[0] for row in rows],), prepare=True)
            total += len(rows)
    done.put(total)


def _array(values: Sequence[str]) -> str:
    return "{" + ",".join(values) + "}"


def _line(row: tuple[Any, ...]) -> str:
    texts = [
        "\\N" if value is None else f"\\\\x{value.hex()}" if isinstance(value, bytes) else value
        for value in (*row[:6], int(row[6]), *row[7:])
    ]
    return "\t".join(map(str, texts)) + "\n"


def _connect(dsn: str) -> Any:
    import psycopg

    return psycopg.connect(dsn, autocommit=True)
