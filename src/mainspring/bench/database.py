"""`mainspring bench sqlite`, `postgresql`: the queue in a database, beside the bare engine."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import django
from rich.console import Console

from mainspring.bench.engines import Engine, Row, query
from mainspring.bench.report import Figure
from mainspring.core.jobs import PLAIN_COLUMNS

_PROCESSES: Final = 2
_WRITERS: Final = 8


class DatabaseBench:
    """One Django project on an engine, and what is measured on it."""

    def __init__(self, engine: Engine, jobs: int, rounds: int, console: Console) -> None:
        self.engine = engine
        self.jobs = jobs
        self.rounds = rounds
        self._console = console
        os.environ["MAINSPRING_BENCH_DATABASE"] = json.dumps(engine.database)
        os.environ["DJANGO_SETTINGS_MODULE"] = "mainspring.bench.settings"
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def measure(self, steps: Sequence[Callable[[], Iterator[Figure]]]) -> list[Figure]:
        """Return the figures of all steps."""
        figures: list[Figure] = []
        for step in steps:
            self._console.print(
                f"… {(getattr(step, 'func', step).__doc__ or '').rstrip('.')}", style="dim"
            )
            figures += step()
        return figures

    def enqueue(self) -> Iterator[Figure]:
        """Enqueue one by one, and in bulk."""
        ours, bare, bulk, raw = [], [], [], []
        for _ in range(self.rounds):
            # In short turns, as a disk's speed drifts.
            turns = [self._enqueue_in_turn(250) for _ in range(20)]
            ours.append(median(one for one, _ in turns))
            bare.append(median(other for _, other in turns))
            self.engine.empty()
            bulk.append(self._enqueue_many())
            self.engine.empty()
            raw.append(self.engine.bulk_per_second(self._rows(self.jobs)))
            self.engine.empty()
        one_by_one = Figure(
            "enqueue one by one", median(ours), "/s", None, "", median(bare), "INSERT + commit"
        )
        share = median(a / b for a, b in zip(ours, bare, strict=True))
        yield one_by_one
        yield from self.engine.judge_enqueue(share, median(bulk), median(raw))

    def _enqueue_in_turn(self, number: int) -> tuple[float, float]:
        from mainspring.bench.queue_tasks import no_op

        start = time.perf_counter()
        for i in range(number):
            no_op.enqueue(i, 2)
        ours = number / (time.perf_counter() - start)
        return ours, self.engine.inserts_per_second(self._rows(number))

    def _enqueue_many(self) -> float:
        from mainspring.bench.queue_tasks import no_op

        start = time.perf_counter()
        for first in range(0, self.jobs, 10_000):
            no_op.enqueue_many([(i, 2) for i in range(first, first + 10_000)])
        return self.jobs / (time.perf_counter() - start)

    def drain(self) -> Iterator[Figure]:
        """Drain a backlog of no-op tasks, results stored, by 2 processes."""
        ours, bare = [], []
        for _ in range(self.rounds):
            self.fill()
            bare.append(self.engine.drained_per_second(self.jobs, _PROCESSES))
            self.engine.empty()
            self.fill()
            ours.append(self.drain_once())
            self.engine.empty()
        yield from self.engine.judge_drain(median(ours), median(bare))

    def drain_once(self, jobs: int | None = None, processes: int = _PROCESSES) -> float:
        """Return how many jobs a second were drained, from the first started to the last stored.

        ``jobs``: how many there are, all by default.
        """
        number = self.jobs if jobs is None else jobs
        began = time.time()
        with self.worker("--drain", processes=processes):
            while query(self.engine.unfinished()):
                time.sleep(0.01)
            end = time.time()
        ((settled, first),) = query(
            "SELECT count(*), min(started_at) FROM mainspring_job "
            "WHERE state = 3 AND started_at > %s",
            round(began * 1e6),
        )
        if settled != number:
            raise AssertionError(f"{settled} of {number} jobs were successful")
        return float(number / (end - first / 1e6))

    def idle(self) -> Iterator[Figure]:
        """Wake idle workers, and let them idle."""
        import psutil

        from mainspring.bench.queue_tasks import no_op

        limits = self.engine.idle_limits
        with self.worker() as process:
            tree = psutil.Process(process.pid)
            no_op.enqueue(0, 0).wait(30)
            results = []
            for i in range(200):
                time.sleep(0.05)
                results.append(no_op.enqueue(i, 0))
            delays = sorted(_delay_ms(result.wait(10)) for result in results)
            cuts = quantiles(delays, n=100)
            bare = self.engine.idle_ms()
            yield Figure("idle to started, p50", cuts[49], "ms", limits.p50, "≤", bare, "bare")
            yield Figure("idle to started, p95", cuts[94], "ms")
            yield Figure("idle to started, p99", cuts[98], "ms", limits.p99, "≤")
            time.sleep(2)
            before, began = cpu_seconds(tree), time.perf_counter()
            time.sleep(15)
            used = (cpu_seconds(tree) - before) / (time.perf_counter() - began)
            yield Figure("idle worker tree, of one core", used * 100, "%", limits.cpu, "≤")
            shared = sum(p.memory_full_info().pss for p in [tree, *tree.children(recursive=True)])
            yield Figure("worker tree, resident", shared / 1e6, "MB")
        self.engine.empty()

    def writers_and_workers(self) -> Iterator[Figure]:
        """Enqueue from 8 processes while 2 work."""
        ledger = Path(self.engine.folder, "ledger")
        ledger.touch()
        each = self.jobs // _WRITERS
        start = time.perf_counter()
        with self.worker():
            writers = [
                _start(sys.executable, "-m", "mainspring.bench.writer", ledger, n * each, each)
                for n in range(_WRITERS)
            ]
            errors = [error for writer in writers if (error := writer.communicate()[1])]
            wrote = time.perf_counter() - start
            while query(self.engine.unfinished()):
                time.sleep(0.01)
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
        self.engine.empty()

    def fill(self, jobs: int | None = None, length: int = 0) -> None:
        """Enqueue a backlog of ``jobs``, all by default, with ``length`` bytes of arguments."""
        from mainspring.backends.base import mainspring_backend
        from mainspring.bench.queue_tasks import no_op

        backend = mainspring_backend("default")
        number = self.jobs if jobs is None else jobs
        step = 10_000 if length < 1000 else max(10_000_000 // length, 1)
        second = "x" * length if length else 2
        for first in range(0, number, step):
            last = min(first + step, number)
            backend.storage.enqueue(
                [backend.new_job(no_op, (i, second), {}) for i in range(first, last)]
            )

    def _rows(self, number: int) -> list[Row]:
        from mainspring.backends.base import mainspring_backend
        from mainspring.bench.queue_tasks import no_op

        backend = mainspring_backend("default")
        return [tuple(backend.new_job(no_op, (i, 2), {})[:PLAIN_COLUMNS]) for i in range(number)]

    @contextmanager
    def worker(
        self, *arguments: str, processes: int = _PROCESSES
    ) -> Iterator["subprocess.Popen[str]"]:
        """Run a worker tree; without ``--drain``, until the block ends."""
        command = ("-m", "django", "mainspring", "worker", "--processes", str(processes))
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


def _delay_ms(result: Any) -> float:
    return float((result.started_at - result.enqueued_at).total_seconds() * 1000)


def cpu_seconds(tree: Any) -> float:
    """Return the processor time used by a process and its children."""
    times = [process.cpu_times() for process in [tree, *tree.children(recursive=True)]]
    return float(sum(time.user + time.system for time in times))
