"""What the benchmarks of the queues have in common: options, and how they end."""

import argparse
import os
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from mainspring.bench.engines import NAMES
from mainspring.bench.report import Figure, print_figures, write_json

POSTGRES_URL: Final = "postgres://postgres@127.0.0.1:5432/postgres"
MARIADB_URL: Final = "mysql://root@127.0.0.1:3306"


def parser_of(name: str, what: str) -> argparse.ArgumentParser:
    """Return the parser of ``mainspring bench NAME``."""
    parser = argparse.ArgumentParser(
        prog=f"mainspring bench {name}", description=f"Measure {what}, with results stored."
    )
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs to drain (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, too")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    return parser


def add_postgres_url(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the server; its user must be allowed to create a database."""
    parser.add_argument(
        "--url",
        default=os.environ.get("MAINSPRING_BENCH_POSTGRES_URL", POSTGRES_URL),
        help="the server, and a database on it (default: $MAINSPRING_BENCH_POSTGRES_URL, else "
        "user postgres on loopback)",
    )


def add_mariadb_url(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the server; its user must be allowed to create a database."""
    parser.add_argument(
        "--mariadb-url",
        default=os.environ.get("MAINSPRING_BENCH_MARIADB_URL", MARIADB_URL),
        help="the server (default: $MAINSPRING_BENCH_MARIADB_URL, else user root on loopback)",
    )


def add_engines(parser: argparse.ArgumentParser) -> None:
    """Add the option that selects databases, and those that name their servers."""
    parser.add_argument(
        "--engine",
        action="append",
        choices=NAMES,
        help="only on this database; may be given several times (default: all)",
    )
    add_postgres_url(parser)
    add_mariadb_url(parser)


def tell(
    name: str,
    figures: Sequence[Figure],
    options: argparse.Namespace,
    beside: str = "bare engine",
) -> int:
    """Print the figures, write them if asked to, and return the exit status.

    ``beside``: what they stand beside.
    """
    print_figures(f"mainspring bench {name}", figures, Console(), beside)
    if options.json:
        write_json(options.json, name, figures)
    return int(options.check and not all(figure.is_met for figure in figures))
