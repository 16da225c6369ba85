"""`mainspring bench --compare`: other queues beside ours, all in the same run."""

import argparse
import json
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console

from mainspring.bench.report import environment
from mainspring.bench.rivals.chart import as_svg
from mainspring.bench.rivals.client import CompetitorError
from mainspring.bench.rivals.competitors import Competitor
from mainspring.bench.rivals.environments import InstallError, install
from mainspring.bench.rivals.figures import Outcome
from mainspring.bench.rivals.measuring import Bench, measure_round
from mainspring.bench.rivals.postgresql import POSTGRESQL
from mainspring.bench.rivals.redis import REDIS
from mainspring.bench.rivals.table import as_markdown, fastest_first, print_comparison

_COMPETITORS: Final = (*POSTGRESQL, *REDIS)
_NAMES: Final = [competitor.name for competitor in _COMPETITORS]


def main(argv: list[str]) -> int:
    """Run the comparison and print its table; see ``mainspring bench --compare --help``.

    Returns 1 if a competitor could not be measured.
    """
    options = parser().parse_args(argv)
    outcomes = [Outcome(competitor) for competitor in chosen(options)]
    console = Console()
    with ExitStack() as stack:
        stack.enter_context(_ended_by_sigterm())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mainspring-bench-"))
        Comparison(outcomes, options, Path(folder), console).run(stack)
    about = [_measured_on(outcomes), command_line(options)]
    print_comparison(outcomes, about, console)
    _write(outcomes, about, options)
    return int(any(outcome.error for outcome in outcomes))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="mainspring bench --compare",
        description="Measure other queues beside Mainspring: each is installed in an environment "
        "of its own, kept in the user's cache, and runs the same no-op task with 2 processes.",
    )
    parser.add_argument(
        "--postgres-url",
        metavar="URL",
        default=os.environ.get("MAINSPRING_BENCH_POSTGRES_URL")
        or "postgres://postgres@127.0.0.1:5432/postgres",
        help="a PostgreSQL server where databases may be made; each competitor has its own, "
        "mainspring_bench_NAME (default: $MAINSPRING_BENCH_POSTGRES_URL, else %(default)s)",
    )
    parser.add_argument(
        "--redis-url",
        metavar="URL",
        default=os.environ.get("MAINSPRING_BENCH_REDIS_URL") or "redis://127.0.0.1:6379/9",
        help="a Redis database that is empty (default: $MAINSPRING_BENCH_REDIS_URL, else "
        "%(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=("postgresql", "redis", "all"),
        default="postgresql",
        help="whose queues to measure (%(default)s)",
    )
    parser.add_argument(
        "--only", type=_names, metavar="NAME[,NAME]", help=f"only these: {', '.join(_NAMES)}"
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=20_000,
        help="tasks of a drain; slow competitors get fewer (%(default)s)",
    )
    parser.add_argument("--rounds", type=_positive, default=3, help="rounds (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables to FILE")
    parser.add_argument("--svg", metavar="FILE", help="write a chart of the drain rates to FILE")
    return parser


def chosen(options: argparse.Namespace) -> list[Competitor]:
    """Return the competitors that the command line names."""
    if options.only:
        return [one for one in _COMPETITORS if one.name in options.only]
    return [one for one in _COMPETITORS if options.engine in (one.engine, "all")]


def command_line(options: argparse.Namespace) -> str:
    """Return the command that measures the same elsewhere: no server, no files."""
    which = f"--only {','.join(options.only)}" if options.only else f"--engine {options.engine}"
    return f"mainspring bench --compare {which} --jobs {options.jobs} --rounds {options.rounds}"


class Comparison:
    """One run: all competitors in each round, so that what slows the machine slows all."""

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        options: argparse.Namespace,
        folder: Path,
        console: Console,
    ) -> None:
        self._outcomes, self._options = outcomes, options
        self._folder, self._console = folder, console

    def run(self, stack: ExitStack) -> None:
        """Measure; the databases are removed when ``stack`` closes."""
        benches = [self._ready(outcome, stack) for outcome in self._outcomes]
        for number in range(1, self._options.rounds + 1):
            for outcome, bench in zip(self._outcomes, benches, strict=True):
                if bench and not outcome.error:
                    self._say(f"round {number}: {outcome.competitor.name}")
                    self._measure(outcome, bench)

    def _ready(self, outcome: Outcome, stack: ExitStack) -> Bench | None:
        competitor = outcome.competitor
        self._say(f"preparing {competitor.name} {competitor.version}")
        try:
            python = install(competitor)
            bench = Bench(
                competitor, python, self._server(competitor), self._folder, self._options.jobs
            )
            outcome.server = bench.prepare()
        except (InstallError, CompetitorError) as error:
            outcome.error = str(error)
            return None
        stack.callback(self._drop, bench, competitor)
        return bench

    def _measure(self, outcome: Outcome, bench: Bench) -> None:
        try:
            outcome.rounds.append(measure_round(bench, outcome.pending(), outcome.failed))
        except CompetitorError as error:
            outcome.error = str(error)

    def _drop(self, bench: Bench, competitor: Competitor) -> None:
        try:
            bench.drop()
        except CompetitorError as error:
            self._say(f"{competitor.name} is still on the server: {error}")

    def _server(self, competitor: Competitor) -> str:
        options = self._options
        url = options.postgres_url if competitor.engine == "postgresql" else options.redis_url
        return str(url)

    def _say(self, text: str) -> None:
        self._console.print(f"… {text}", style="dim", markup=False, highlight=False)


def _measured_on(outcomes: Sequence[Outcome]) -> str:
    servers = sorted({outcome.server for outcome in outcomes if outcome.server})
    return ", ".join([environment(), *servers, f"{os.cpu_count()} cores"])


def _write(outcomes: Sequence[Outcome], about: Sequence[str], options: argparse.Namespace) -> None:
    if options.json:
        content: dict[str, Any] = {
            "benchmark": "compare",
            "environment": about[0],
            "command": about[1],
            "figures": [outcome.as_json() for outcome in outcomes],
        }
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n")
    if options.markdown:
        Path(options.markdown).write_text(as_markdown(outcomes, about))
    if options.svg:
        title = "No-op tasks drained by 2 processes, a second"
        Path(options.svg).write_text(as_svg(fastest_first(outcomes), title))


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in _NAMES]:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; there are {', '.join(_NAMES)}"
        )
    return names


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    # As by Ctrl-C: with all that was started.
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
