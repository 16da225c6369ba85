"""`mainspring bench mariadb`: the queue on MariaDB or MySQL, beside a bare loop."""

import os
import tempfile

from rich.console import Console

from mainspring.bench.database import DatabaseBench
from mainspring.bench.engines import MariaDB
from mainspring.bench.options import MARIADB_URL, parser_of, tell


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench mariadb --help``."""
    parser = parser_of("mariadb", "the queue on MariaDB or MySQL (the server's own settings)")
    parser.add_argument(
        "--url",
        default=os.environ.get("MAINSPRING_BENCH_MARIADB_URL", MARIADB_URL),
        help="the server (default: $MAINSPRING_BENCH_MARIADB_URL, else user root on loopback)",
    )
    options = parser.parse_args(argv)
    with (
        tempfile.TemporaryDirectory(prefix="mainspring-bench-") as folder,
        MariaDB(options.url, folder).made() as engine,
    ):
        bench = DatabaseBench(engine, options.jobs, options.rounds, Console())
        figures = bench.measure([bench.enqueue, bench.drain, bench.idle])
    return tell("mariadb", figures, options)
