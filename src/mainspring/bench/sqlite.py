"""`mainspring bench sqlite`: the queue on SQLite, each figure beside its limit."""

import tempfile
from pathlib import Path

from rich.console import Console

from mainspring.bench.database import DatabaseBench
from mainspring.bench.engines import SQLite
from mainspring.bench.options import parser_of, tell


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench sqlite --help``."""
    options = parser_of("sqlite", "the queue on SQLite (WAL, synchronous FULL)").parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder:
        bench = DatabaseBench(SQLite(Path(folder)), options.jobs, options.rounds, Console())
        figures = bench.measure([bench.enqueue, bench.drain, bench.idle, bench.writers_and_workers])
    return tell("sqlite", figures, options)
