"""Measure one database and one order for `mainspring bench snapshot`, in a separate process."""

import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

from rich.console import Console

from mainspring.bench.database import DatabaseBench
from mainspring.bench.engines import NAMES, Engine, opened, query
from mainspring.bench.report import Figure

_WAVE: Final = 40_000  # jobs drained at a time
_LEAST: Final = 0.9  # of the rate without the transaction
_LOOK_MS: Final = 1.0
_LOOKS: Final = 100
_IDLE: Final = 15.0  # seconds
_PAUSE: Final = 1.5  # seconds until all workers have noticed that a queue is paused
_BEGIN: Final = {
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "mysql": "START TRANSACTION",
    "sqlite": "BEGIN",
}


class SnapshotPass:
    """Drains waves of jobs, first without and then with an open transaction."""

    def __init__(self, name: str, engine: Engine, order: str, jobs: int, rounds: int) -> None:
        self._title = f"{name}, {order}"
        self._waves = max(jobs // _WAVE, rounds)
        # Compare many waves, because the speed of a machine drifts from wave to wave.
        self._compared = max(self._waves // 4, rounds)
        self._bench = DatabaseBench(engine, _WAVE, rounds, Console(stderr=True))

    def measure(self) -> Iterator[Figure]:
        """Return the figures."""
        with self._bench.worker() as process:
            self._drain()  # warms up
            before = [self._drain() for _ in range(self._compared)]
            look_before, _ = self._looks()
            idle_before = _idle_percent(process.pid)
            with _snapshot():
                rates = [self._drain() for _ in range(self._waves)]
                look, slowest = self._looks()
                idle = _idle_percent(process.pid)
        late, early = median(rates[-self._compared :]), median(before)
        name = f"{self._title}: drain beside it, after {self._waves * _WAVE:,} jobs"
        yield Figure(name, late, "/s", None, "", early, "none")
        yield Figure("… as a share", late / early, "", _LEAST, "≥")
        yield Figure("… of the slowest wave", min(rates) / early, "")
        yield Figure("an empty look, median", look, "ms", _LOOK_MS, "≤", look_before, "none")
        yield Figure("… the slowest of many", slowest, "ms")
        yield Figure("idle worker tree, of one core", idle, "%", None, "", idle_before, "none")
        yield Figure("… more than without", idle - idle_before, "%", 0.2, "≤")

    def _drain(self) -> float:
        # Rate from the first start to the last end. The queue is paused until all jobs are stored.
        from mainspring.backends.base import mainspring_backend
        from mainspring.core import clock
        from mainspring.core.ids import first_id_at

        storage = mainspring_backend("default").storage
        storage.pause("default")
        time.sleep(_PAUSE)
        mark = first_id_at(clock.now())
        self._bench.fill(_WAVE)
        storage.resume("default")
        while True:
            time.sleep(0.2)
            ((number, started, finished),) = query(
                "SELECT count(*), min(started_at), max(finished_at) FROM mainspring_job "
                "WHERE id > %s AND state = 3",
                mark,
            )
            if number == _WAVE:
                return float(_WAVE / (finished - started) * 1e6)

    def _looks(self) -> tuple[float, float]:
        # Do what an idle worker does: look for a ready job, with an empty claim.
        from mainspring.backends.base import mainspring_backend
        from mainspring.core import clock
        from mainspring.core.jobs import Worker

        storage: Any = mainspring_backend("default").storage
        worker = Worker("snapshot-1", 1)
        storage.heartbeat(worker, clock.now())
        storage.claim(worker, ["*"], 1)
        storage.vacuum()  # as a worker does, at its start and from time to time
        times = []
        for _ in range(_LOOKS):
            time.sleep(0.02)
            start = time.perf_counter()
            if storage.claim(worker, ["*"], 1):
                raise AssertionError("There was something to claim")
            times.append((time.perf_counter() - start) * 1000)
        storage.retire(worker)
        storage.close()
        return median(times), max(times)


def _idle_percent(pid: int) -> float:
    import psutil

    from mainspring.bench.database import cpu_seconds

    tree = psutil.Process(pid)
    time.sleep(2)
    before, began = cpu_seconds(tree), time.perf_counter()
    time.sleep(_IDLE)
    return (cpu_seconds(tree) - before) / (time.perf_counter() - began) * 100


@contextmanager
def _snapshot() -> Iterator[None]:
    from django.db import connection

    own = connection.copy()
    if own.vendor == "mysql":  # Django's default is READ COMMITTED, which keeps no snapshot
        own.settings_dict["OPTIONS"]["isolation_level"] = "repeatable read"
    try:
        with own.cursor() as cursor:
            cursor.execute(_BEGIN[own.vendor])
            before = _count(cursor)
            yield
            if _count(cursor) != before:
                raise AssertionError("The open transaction sees new jobs")
    finally:
        own.close()


def _count(cursor: Any) -> int:
    cursor.execute("SELECT count(*) FROM mainspring_job")
    ((number,),) = cursor.fetchall()
    return int(number)


def main() -> int:
    """Run the measurement given on standard input; print the figures as JSON."""
    name, (url, mariadb_url), order, jobs, rounds = json.load(sys.stdin)
    servers = Namespace(url=url, mariadb_url=mariadb_url)
    with (
        tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder,
        opened(name, servers, folder) as engine,
    ):
        figures = list(SnapshotPass(NAMES[name], engine, order, jobs, rounds).measure())
    sys.stdout.write(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
