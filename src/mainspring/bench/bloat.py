"""`mainspring bench bloat`: whether a long steady load leaves the table larger or slower."""

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Final

from rich.console import Console

from mainspring.bench.database import DatabaseBench
from mainspring.bench.engines import PostgreSQL, query
from mainspring.bench.growth import claim_ms
from mainspring.bench.options import add_postgres_url, parser_of, tell
from mainspring.bench.report import Figure

_BACKLOG: Final = 20_000
_TAKES: Final = 5  # medians of one take of the same table differ by a half
_WARM_UP: Final = 0.1  # of the jobs, until the table has the size that it is to keep


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench bloat --help``."""
    parser = parser_of("bloat", "the live table under a steady load on PostgreSQL")
    parser.set_defaults(jobs=3_000_000)
    add_postgres_url(parser)
    options = parser.parse_args(argv)
    return tell("bloat", _measure(options), options)


def _measure(options: argparse.Namespace) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder,
        PostgreSQL(options.url, folder).made() as engine,
    ):
        bench = DatabaseBench(engine, _BACKLOG, 1, Console())
        claim_before = _median_claim_ms(bench)
        start = time.perf_counter()
        with bench.worker():
            _pass_through(bench, int(options.jobs * _WARM_UP))
            early = _size()
            _pass_through(bench, int(options.jobs * (1 - _WARM_UP)))
            late = _size()
        took = time.perf_counter() - start
        query("VACUUM mainspring_job_live")  # as autovacuum does when it is next due
        claim_after = _median_claim_ms(bench)
    return [
        Figure("jobs passed through, one after the other", options.jobs, ""),
        Figure("… a second, enqueued and executed", options.jobs / took, "/s"),
        Figure(f"live table with its indexes, after {_WARM_UP:.0%}", early / 1e6, "MB"),
        Figure("… at the end", late / 1e6, "MB"),
        Figure("… as a multiple", late / early, "", 1.5, "≤"),
        Figure("claim on the new table", claim_before, "ms"),
        Figure("… at the end", claim_after, "ms"),
        Figure("… as a multiple", claim_after / claim_before, "", 1.5, "≤"),
    ]


def _median_claim_ms(bench: DatabaseBench) -> float:
    return median(claim_ms(bench) for _ in range(_TAKES))


def _pass_through(bench: DatabaseBench, jobs: int) -> None:
    # Waves of a backlog: each is enqueued when half of the last one is done.
    producer = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "mainspring.bench.wave_producer", str(jobs), str(_BACKLOG)],
    )
    if producer.wait():
        raise AssertionError("The producer failed; what it said stands above.")
    while query(bench.engine.unfinished()):
        time.sleep(0.05)


def _size() -> int:
    ((size,),) = query("SELECT pg_total_relation_size('mainspring_job_live')")
    return int(size)
