"""`mainspring bench snapshot`: the queue while a transaction stays open for a long time."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from rich.console import Console

from mainspring.bench.engines import NAMES
from mainspring.bench.options import add_engines, parser_of, tell
from mainspring.bench.report import Figure

_ORDERS: Final = ("fifo", "lifo")
_JOBS: Final = 2_000_000
_SHORT: Final = 200_000


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench snapshot --help``."""
    parser = parser_of("snapshot", "the queue while a transaction stays open")
    parser.set_defaults(jobs=None, rounds=5)
    add_engines(parser)
    parser.add_argument(
        "--order",
        action="append",
        choices=_ORDERS,
        help="only in this order; may be given several times (default: both)",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help=f"{_SHORT:,} jobs instead of {_JOBS:,}, which takes a few minutes",
    )
    options = parser.parse_args(argv)
    figures = list(_measure(options))
    return tell("snapshot", figures, options, "without the transaction")


def _measure(options: argparse.Namespace) -> Iterator[Figure]:
    jobs = options.jobs or (_SHORT if options.short else _JOBS)
    for engine in options.engine or NAMES:
        servers = [options.url, options.mariadb_url]
        for order in options.order or _ORDERS:
            Console().print(f"… {engine}, {order}: {jobs:,} jobs", style="dim")
            # In its own process, because the database and the order are project settings.
            done = subprocess.run(
                [sys.executable, "-m", "mainspring.bench.snapshot_pass"],
                input=json.dumps([engine, servers, order, jobs, options.rounds]),
                env=os.environ | {"MAINSPRING_BENCH_ORDER": order},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            for values in json.loads(done.stdout.splitlines()[-1]):
                yield Figure(*values)
