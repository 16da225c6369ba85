"""`mainspring bench map`: maps of many calls, beside what maps without storing anything."""

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console

from mainspring.bench.engines import Engine, MariaDB, PostgreSQL, SQLite
from mainspring.bench.map_bench import MapBench, MemoryMapBench, Sizes
from mainspring.bench.map_functions import echo, first
from mainspring.bench.map_rivals import (
    OTHERS,
    POOL,
    PROCESSES,
    Rival,
    pool_reduced,
    pool_returned,
)
from mainspring.bench.options import MARIADB_URL, POSTGRES_URL, tell
from mainspring.bench.report import Figure

_ENGINES: Final = {
    "memory": "Memory",
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "mariadb": "MariaDB",
}
_RETURNING: Final[Mapping[str, Callable[..., object]]] = {"first": first, "echo": echo}
_MANY: Final = 1_000_000
_MORE_PROCESSES: Final = 4


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench map --help``."""
    options = _parser().parse_args(argv)
    console = Console()
    with ExitStack() as stack:
        run = _Run(options, _benches(options, stack), console)
        for number in range(1, options.rounds + 1):
            run.measure(number)
    status = tell("map", list(run.figures()), options, beside="without a store")
    for rival in OTHERS:
        if not rival.is_installed:
            console.print(f"{rival.name}: not installed", style="dim", highlight=False)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mainspring bench map",
        description="Measure maps from map() to the last value read, with 2 worker processes, "
        "beside multiprocessing.Pool.map and others in the same run.",
    )
    parser.add_argument(
        "--engine",
        choices=(*_ENGINES, "all"),
        action="append",
        help="where to measure; may be given several times (all but mariadb)",
    )
    parser.add_argument(
        "--calls", type=_positive, default=10_000_000, help="no-op calls (%(default)s)"
    )
    parser.add_argument(
        "--returned",
        type=_positive,
        default=2_000_000,
        help="calls of several arguments whose values are returned (%(default)s)",
    )
    parser.add_argument(
        "--uneven", type=_positive, default=400, help="calls of uneven length (%(default)s)"
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds of each (%(default)s)")
    parser.add_argument(
        "--postgres-url",
        default=os.environ.get("MAINSPRING_BENCH_POSTGRES_URL", POSTGRES_URL),
        help="the server, and a database on it (default: $MAINSPRING_BENCH_POSTGRES_URL, else "
        "user postgres on loopback)",
    )
    parser.add_argument(
        "--mariadb-url",
        default=os.environ.get("MAINSPRING_BENCH_MARIADB_URL", MARIADB_URL),
        help="the server (default: $MAINSPRING_BENCH_MARIADB_URL, else user root on loopback)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, too")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _benches(options: argparse.Namespace, stack: ExitStack) -> list[MapBench]:
    chosen = options.engine or ["memory", "sqlite", "postgresql"]
    names = list(_ENGINES) if "all" in chosen else list(dict.fromkeys(chosen))
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mainspring-bench-"))
    sizes = Sizes(options.calls, options.returned, min(options.calls, _MANY), options.uneven)
    benches = [
        (MemoryMapBench if name == "memory" else MapBench)(
            _ENGINES[name], _engine(name, options, folder, stack), sizes
        )
        for name in names
    ]
    for bench in benches:
        bench.migrate()
    return benches


def _engine(name: str, options: argparse.Namespace, folder: str, stack: ExitStack) -> Engine:
    if name in {"memory", "sqlite"}:  # in memory, it is not used
        return SQLite(Path(folder))
    if name == "postgresql":
        return stack.enter_context(PostgreSQL(options.postgres_url, folder).made())
    return stack.enter_context(MariaDB(options.mariadb_url, folder).made())


class _Run:
    """All of it: everything once in each round, so that what slows the machine slows all."""

    def __init__(
        self, options: argparse.Namespace, benches: Sequence[MapBench], console: Console
    ) -> None:
        self._options = options
        self._benches = benches
        self._console = console
        self._rivals = [POOL, *(rival for rival in OTHERS if rival.is_installed)]
        self._sizes: dict[str, list[int]] = {}
        """The size of chunks that was the best one in the first round."""
        self._seen: defaultdict[str, list[float]] = defaultdict(list)
        """What was measured, a value for each round."""

    def measure(self, number: int) -> None:
        """Measure everything once."""
        for rival in self._rivals:
            self._say(number, rival.name)
            self._note(rival.name, self._rival(rival))
        (size,) = self._sizes[POOL.name]
        for kind, function in _RETURNING.items():
            self._note(kind, pool_returned(function, self._options.returned, size))
        self._note("reduced", pool_reduced(self._options.calls, size))
        for bench in self._benches:
            self._say(number, bench.name)
            self._measure_on(bench, is_first=number == 1)

    def _rival(self, rival: Rival) -> float:
        known = self._sizes.get(rival.name)
        calls = self._options.calls
        rates = rival.measure(calls, known) if known else rival.measure(calls)
        best = max(rates, key=lambda size: rates[size])
        self._sizes[rival.name] = [best]
        return rates[best]

    def _measure_on(self, bench: MapBench, is_first: bool) -> None:
        no_ops = bench.no_ops(PROCESSES)
        self._note(f"{bench.name} no_ops", no_ops.rate)
        self._note(f"{bench.name} producer", no_ops.producer)
        self._note(f"{bench.name} worker", no_ops.worker)
        for kind in _RETURNING:
            self._note(f"{bench.name} {kind}", bench.returned(kind, PROCESSES))
        self._note(f"{bench.name} reduced", bench.reduced(PROCESSES))
        for processes in (PROCESSES, _MORE_PROCESSES):
            self._note(f"{bench.name} uneven {processes}", bench.uneven(processes))
        if is_first:  # sizes do not vary
            for name, size in bench.handle(PROCESSES).items():
                self._note(f"{bench.name} {name}", size)

    def figures(self) -> Iterator[Figure]:
        """Return the medians beside their limits."""
        for bench in self._benches:
            yield from self._figures_of(bench)
        pool = median(self._seen[POOL.name])
        for rival in self._rivals:
            (size,) = self._sizes[rival.name]
            rate = median(self._seen[rival.name])
            name = f"{rival.name}, chunks of {size:,}"
            yield Figure(name, rate, "/s", None, "", pool, POOL.name)

    def _figures_of(self, bench: MapBench) -> Iterator[Figure]:
        name = bench.name

        def seen(kind: str) -> float:
            return median(self._seen[f"{name} {kind}"])

        def pool(kind: str) -> float:
            return median(self._seen[kind])

        share = self._share(f"{name} no_ops", POOL.name)
        yield Figure(
            f"{name}: no-op calls on ints",
            seen("no_ops"),
            "/s",
            bench.least,
            "≥",
            pool(POOL.name),
            POOL.name,
        )
        yield Figure("… as a share of Pool.map", share, "", bench.share, "≥")
        yield Figure("… the producer at its peak", seen("producer"), "MB", 150, "≤")
        yield Figure("… a worker at its peak", seen("worker"), "MB", 150, "≤")
        for kind, what in (("first", "the int"), ("echo", "all of it")):
            yield Figure(
                f"{name}: calls of (int, str, bool, None), {what} returned",
                seen(kind),
                "/s",
                1_500_000,
                "≥",
                pool(kind),
                "Pool.starmap",
            )
        yield Figure(
            f"{name}: ints, reduced to their sum",
            seen("reduced"),
            "/s",
            None,
            "",
            pool("reduced"),
            "sum(Pool.map)",
        )
        for processes in (PROCESSES, _MORE_PROCESSES):
            over = seen(f"uneven {processes}")
            title = f"{name}: uneven calls, {processes} processes, over the ideal"
            yield Figure(title, over, "%", 15, "≤")
        number = f"{min(self._options.calls, _MANY):,}"
        yield Figure(f"{name}: handle on {number} results", seen("unlooked") / 1e6, "MB", 1, "≤")
        yield Figure("… while all are looked at", seen("looked_at") / 1e6, "MB", 100, "≤")
        yield Figure("… pickled", seen("pickled"), "B")

    def _share(self, ours: str, theirs: str) -> float:
        pairs = zip(self._seen[ours], self._seen[theirs], strict=True)
        return median(one / other for one, other in pairs)

    def _note(self, name: str, value: float) -> None:
        self._seen[name].append(value)

    def _say(self, number: int, name: str) -> None:
        self._console.print(f"… round {number}: {name}", style="dim", highlight=False)
