"""`mainspring bench postgresql`: the queue on PostgreSQL, each figure beside its limit."""

import argparse
import tempfile
from collections.abc import Iterator
from statistics import median
from typing import Final

from rich.console import Console

from mainspring.bench.database import DatabaseBench
from mainspring.bench.engines import PostgreSQL, through
from mainspring.bench.options import add_postgres_url, parser_of, tell
from mainspring.bench.report import Figure
from mainspring.bench.slow_network import SlowNetwork

_EACH_WAY: Final = 0.001  # seconds


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench postgresql --help``."""
    parser = parser_of("postgresql", "the queue on PostgreSQL (the server's own settings)")
    add_postgres_url(parser)
    options = parser.parse_args(argv)
    figures = _measure(options)
    return tell("postgresql", figures, options)


def _measure(options: argparse.Namespace) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder,
        PostgreSQL(options.url, folder).made() as engine,
    ):
        bench = DatabaseBench(engine, options.jobs, options.rounds, Console())

        def slow_network() -> Iterator[Figure]:
            """Drain over a network with 2 ms of round-trip time."""
            direct, slow = [], []
            host, port = engine.address
            with SlowNetwork(host, port, _EACH_WAY) as network:
                for _ in range(options.rounds):
                    bench.fill()
                    direct.append(bench.drain_once())
                    engine.empty()
                    bench.fill()
                    with through(network, engine):
                        slow.append(bench.drain_once())
                    engine.empty()
            share = median(b / a for a, b in zip(direct, slow, strict=True))
            yield Figure("drain with 2 ms of network, as a share of without", share, "", 0.8, "≥")

        return bench.measure(
            [bench.enqueue, bench.drain, slow_network, bench.idle, bench.writers_and_workers]
        )
