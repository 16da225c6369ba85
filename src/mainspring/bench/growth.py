"""`mainspring bench growth`: how the costs on PostgreSQL grow with rows, workers and payloads."""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import Final

from rich.console import Console

from mainspring.bench.database import DatabaseBench
from mainspring.bench.engines import PostgreSQL
from mainspring.bench.options import add_postgres_url, parser_of, tell
from mainspring.bench.report import Figure
from mainspring.bench.twin_tables import TwinTables

_CLAIMS: Final = 100
_BATCH: Final = 100
_WORKERS: Final = (1, 2, 4, 8)
_PAYLOADS: Final = {"100 B": (100, 20_000), "10 kB": (10_000, 5_000), "1 MB": (1_000_000, 100)}
_NOISE: Final = 0.15


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench growth --help``."""
    parser = parser_of("growth", "how costs grow with rows, workers and payloads on PostgreSQL")
    add_postgres_url(parser)
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[1_000, 100_000, 1_000_000, 10_000_000],
        help="finished rows in the table, beside a tenth as many deferred (%(default)s)",
    )
    options = parser.parse_args(argv)
    return tell("growth", _measure(options), options)


def _measure(options: argparse.Namespace) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder,
        PostgreSQL(options.url, folder).made() as engine,
    ):
        bench = DatabaseBench(engine, options.jobs, options.rounds, Console())

        def rows() -> Iterator[Figure]:
            """Claim and drain beside more and more finished and deferred rows."""
            return _beside_rows(bench, sorted(options.rows))

        return bench.measure([rows, partial(_workers, bench), partial(_payloads, bench)])


def _beside_rows(bench: DatabaseBench, sizes: Sequence[int]) -> Iterator[Figure]:
    tables = TwinTables()
    for size in sizes:
        tables.fill_other(finished=size, deferred=size // 10)
        claims, drains = [], []
        for _ in range(bench.rounds):
            pairs = [(claim_ms(bench), _drain(bench))]
            bench.engine.empty()
            tables.swap()
            pairs.append((claim_ms(bench), _drain(bench)))
            tables.swap()
            claims.append((pairs[0][0], pairs[1][0]))
            drains.append((pairs[0][1], pairs[1][1]))
        name = f"{size:,} finished, {size // 10:,} deferred"
        slower = median(full / empty for empty, full in claims)
        kept = median(full / empty for empty, full in drains)
        yield Figure(f"{name}: claim", median(c[1] for c in claims), "ms")
        yield Figure("… as a multiple of the empty table's", slower, "", 1 + _NOISE, "≤")
        yield Figure(f"{name}: drain", median(d[1] for d in drains), "/s")
        yield Figure("… as a share of the empty table's", kept, "", 1 - _NOISE, "≥")
    tables.drop_other()
    bench.engine.empty()


def claim_ms(bench: DatabaseBench) -> float:
    """Return the median time of settling a hundred jobs and claiming the next."""
    from mainspring.backends.base import mainspring_backend
    from mainspring.core import clock, outcomes
    from mainspring.core.jobs import Outcome, Worker

    bench.fill(_CLAIMS * _BATCH)
    storage, worker = mainspring_backend("default").storage, Worker("growth-1", 1)
    settled: list[Outcome] = []
    times = []
    while True:
        start = time.perf_counter()
        _, jobs = storage.settle_and_claim(worker, settled, ["*"], _BATCH)
        times.append(time.perf_counter() - start)
        if not jobs:
            return median(times) * 1000
        now = clock.now()
        settled = [outcomes.succeeded(job, worker.id, now, now, None) for job in jobs]


def _drain(bench: DatabaseBench) -> float:
    bench.fill()
    return bench.drain_once()


def _workers(bench: DatabaseBench) -> Iterator[Figure]:
    """Drain with more and more worker processes."""
    for number in _WORKERS:
        yield _median_drain(bench, f"drain, {number} processes", bench.jobs, number, 0)


def _payloads(bench: DatabaseBench) -> Iterator[Figure]:
    """Drain tasks whose arguments are longer and longer."""
    for name, (length, jobs) in _PAYLOADS.items():
        yield _median_drain(bench, f"drain, arguments of {name}", jobs, 2, length)


def _median_drain(
    bench: DatabaseBench, name: str, jobs: int, processes: int, length: int
) -> Figure:
    rates = []
    for _ in range(bench.rounds):
        bench.fill(jobs, length)
        rates.append(bench.drain_once(jobs, processes))
        bench.engine.empty()
    return Figure(name, median(rates), "/s")
