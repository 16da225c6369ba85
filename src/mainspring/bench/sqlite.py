"""`mainspring bench sqlite`: the queue on SQLite, each figure beside its limit."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import django
from rich.console import Console

from mainspring.bench import bare_sqlite
from mainspring.bench.report import Figure, print_figures, write_json

_PROCESSES: Final = 2
_WRITERS: Final = 8


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench sqlite --help``."""
    options = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder:
        bench = Bench(Path(folder), options.jobs, options.rounds, Console())
        figures = bench.measure()
    print_figures("mainspring bench sqlite", figures, Console())
    if options.json:
        write_json(options.json, "sqlite", figures)
    return int(options.check and not all(figure.is_met for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mainspring bench sqlite",
        description="Measure the queue on SQLite (WAL, synchronous FULL), with results stored.",
    )
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs to drain (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, too")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    return parser


class Bench:
    """One Django project on a database in ``folder``, and what is measured on it."""

    def __init__(self, folder: Path, jobs: int, rounds: int, console: Console) -> None:
        self._folder = folder
        self._database = folder / "bench.sqlite3"
        self._jobs = jobs
        self._rounds = rounds
        self._console = console
        os.environ["MAINSPRING_BENCH_DATABASE"] = str(self._database)
        os.environ["DJANGO_SETTINGS_MODULE"] = "mainspring.bench.settings"
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def measure(self) -> list[Figure]:
        """Return all figures."""
        steps: list[Callable[[], Iterator[Figure]]] = [
            self._enqueue,
            self._drain,
            self._idle,
            self._writers_and_workers,
        ]
        figures: list[Figure] = []
        for step in steps:
            self._console.print(f"… {(step.__doc__ or '').rstrip('.')}", style="dim")
            figures += step()
        return figures

    def _enqueue(self) -> Iterator[Figure]:
        """Enqueue one by one, and in bulk."""
        ours, bare, bulk = [], [], []
        for _ in range(self._rounds):
            # In short turns, as a disk's speed drifts.
            turns = [self._enqueue_in_turn(250) for _ in range(20)]
            ours.append(median(one for one, _ in turns))
            bare.append(median(other for _, other in turns))
            jobs = self._new(self._jobs)
            start = time.perf_counter()
            self._store(jobs)
            bulk.append(len(jobs) / (time.perf_counter() - start))
            self._empty()
        one_by_one, insert = median(ours), median(bare)
        yield Figure("enqueue one by one", one_by_one, "/s", 4000, "≥", insert, "INSERT + commit")
        ratio = median(a / b for a, b in zip(ours, bare, strict=True))
        yield Figure("… as a share of INSERT + commit", ratio, "", 0.8, "≥")
        yield Figure("store ready-made jobs, 1,000 a time", median(bulk), "/s")

    def _enqueue_in_turn(self, number: int) -> tuple[float, float]:
        from mainspring.bench.queue_tasks import no_op

        start = time.perf_counter()
        for i in range(number):
            no_op.enqueue(i, 2)
        ours = number / (time.perf_counter() - start)
        return ours, bare_sqlite.inserts_per_second(self._database, _rows(self._new(number)))

    def _drain(self) -> Iterator[Figure]:
        """Drain a backlog of no-op tasks, results stored, by 2 processes."""
        ours, bare = [], []
        for _ in range(self._rounds):
            self._fill()
            bare.append(bare_sqlite.drained_per_second(self._database, self._jobs, _PROCESSES))
            self._empty()
            self._fill()
            ours.append(self._drain_once())
            self._empty()
        yield Figure(
            "drain, 2 processes", median(ours), "/s", 60_000, "≥", median(bare), "bare loop"
        )

    def _drain_once(self) -> float:
        with self._worker("--drain"):
            self._wait_until_settled(self._jobs)
            end = time.time()
        ((first,),) = _query("SELECT min(started_at) FROM mainspring_job")
        return float(self._jobs / (end - first / 1e6))

    def _idle(self) -> Iterator[Figure]:
        """Wake idle workers, and let them idle."""
        import psutil

        from mainspring.bench.queue_tasks import no_op

        with self._worker() as process:
            tree = psutil.Process(process.pid)
            no_op.enqueue(0, 0).wait(30)
            results = []
            for i in range(200):
                time.sleep(0.05)
                results.append(no_op.enqueue(i, 0))
            delays = sorted(_delay_ms(result.wait(10)) for result in results)
            cuts = quantiles(delays, n=100)
            yield Figure("idle to started, p50", cuts[49], "ms", 15, "≤")
            yield Figure("idle to started, p95", cuts[94], "ms")
            yield Figure("idle to started, p99", cuts[98], "ms")
            time.sleep(2)
            before, began = _cpu_seconds(tree), time.perf_counter()
            time.sleep(15)
            used = (_cpu_seconds(tree) - before) / (time.perf_counter() - began)
            yield Figure("idle worker tree, of one core", used * 100, "%", 0.5, "≤")
            shared = sum(p.memory_full_info().pss for p in [tree, *tree.children(recursive=True)])
            yield Figure("worker tree, resident", shared / 1e6, "MB")
        self._empty()

    def _writers_and_workers(self) -> Iterator[Figure]:
        """Enqueue from 8 processes while 2 work."""
        ledger = self._folder / "ledger"
        ledger.touch()
        each = self._jobs // _WRITERS
        start = time.perf_counter()
        with self._worker():
            writers = [
                _start(sys.executable, "-m", "mainspring.bench.writer", ledger, n * each, each)
                for n in range(_WRITERS)
            ]
            errors = [error for writer in writers if (error := writer.communicate()[1])]
            wrote = time.perf_counter() - start
            self._wait_until_settled(each * _WRITERS)
            took = time.perf_counter() - start
        if errors:
            self._console.print(*errors, sep="\n", style="red")
        content = ledger.read_bytes()
        times = Counter(content[i : i + 4] for i in range(0, len(content), 4))
        wrong = each * _WRITERS - sum(count == 1 for count in times.values())
        yield Figure("8 writers and 2 workers: enqueued", each * _WRITERS / wrote, "/s")
        yield Figure("… enqueued and executed", each * _WRITERS / took, "/s")
        yield Figure("… not executed exactly once", wrong, "tasks", 0, "≤")
        yield Figure("… writers with an error", len(errors), "", 0, "≤")
        self._empty()

    def _new(self, number: int) -> list[Any]:
        from mainspring.backends.base import mainspring_backend
        from mainspring.bench.queue_tasks import no_op

        backend = mainspring_backend("default")
        return [backend.new_job(no_op, (i, 2), {}) for i in range(number)]

    def _store(self, jobs: Sequence[Any]) -> None:
        from mainspring.backends.base import mainspring_backend

        storage = mainspring_backend("default").storage
        for i in range(0, len(jobs), 1000):
            storage.enqueue(jobs[i : i + 1000])

    def _fill(self) -> None:
        self._store(self._new(self._jobs))

    def _empty(self) -> None:
        _query("DELETE FROM mainspring_job")
        _query("PRAGMA wal_checkpoint(TRUNCATE)")

    def _wait_until_settled(self, number: int) -> None:
        unfinished = (
            "SELECT 1 FROM mainspring_job WHERE state = 1 UNION ALL "
            "SELECT 1 FROM mainspring_job WHERE state = 2 LIMIT 1"
        )
        while _query(unfinished):
            time.sleep(0.005)
        ((settled,),) = _query("SELECT count(*) FROM mainspring_job WHERE state = 3")
        if settled != number:
            raise AssertionError(f"{settled} of {number} jobs were successful")

    @contextmanager
    def _worker(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        command = ("-m", "django", "mainspring", "worker", "--processes", str(_PROCESSES))
        process = _start(sys.executable, *command, *arguments)
        try:
            yield process
        finally:
            if "--drain" not in arguments:
                process.terminate()
            process.communicate()


def _start(*command: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603
        [str(part) for part in command],
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _query(sql: str) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def _rows(jobs: Sequence[Any]) -> list[tuple[object, ...]]:
    return [tuple(job[:11]) for job in jobs]


def _delay_ms(result: Any) -> float:
    return float((result.started_at - result.enqueued_at).total_seconds() * 1000)


def _cpu_seconds(tree: Any) -> float:
    times = [process.cpu_times() for process in [tree, *tree.children(recursive=True)]]
    return float(sum(time.user + time.system for time in times))
