"""`mainspring bench version`: compare this version of Mainspring with another, in one run."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any, Final

from rich.console import Console

import mainspring
from mainspring.bench.engines import NAMES, opened
from mainspring.bench.options import add_engines, parser_of, tell
from mainspring.bench.report import Figure

_LEAST: Final = 0.97
_PROCESSES: Final = 2
_ENQUEUED: Final = 500  # calls in a turn
_TURNS: Final = 5  # enqueueing turns in each round, because they are short
_MORE: Final = 0.1  # percent of a core


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench version --help``."""
    parser = parser_of("version", "this version of Mainspring beside another")
    parser.set_defaults(jobs=40_000, rounds=15)
    parser.add_argument("folder", type=_source, help="a checkout of the other version")
    parser.add_argument("--calls", type=int, default=2_000_000, help="calls of a map (%(default)s)")
    parser.add_argument(
        "--parked",
        type=int,
        default=10_000,
        help="keys and maps that wait beside an idle worker (%(default)s)",
    )
    parser.add_argument(
        "--idle", type=int, default=10, help="seconds of each look at idle workers (%(default)s)"
    )
    add_engines(parser)
    options = parser.parse_args(argv)
    figures = list(_measure(options))
    return tell("version", figures, options, "other version")


def _source(text: str) -> Path:
    folder = Path(text).resolve()
    for source in (folder / "src", folder):
        if (source / "mainspring" / "__init__.py").is_file():
            return source
    raise argparse.ArgumentTypeError(f"there is no Mainspring in {folder}")


def _measure(options: argparse.Namespace) -> Iterator[Figure]:
    own = Path(mainspring.__file__).parents[1]
    for name in options.engine or NAMES:
        with ExitStack() as stack:
            pair = Pair(
                stack.enter_context(_version(source, name, options))
                for source in (own, options.folder)
            )
            yield from _figures(pair, NAMES[name], options)


def _figures(pair: "Pair", name: str, options: argparse.Namespace) -> Iterator[Figure]:
    rounds, console = options.rounds, Console()
    console.print(f"… {name}", style="dim")
    seconds = pair.in_turn("enqueue", _ENQUEUED, rounds * _TURNS)
    yield from _rates(f"{name}: enqueue one by one", _ENQUEUED, seconds)
    pair.in_turn("start", _PROCESSES, 1)
    drains = pair.in_turn("drain", options.jobs, rounds)
    yield from _rates(f"{name}: drain, 2 processes", options.jobs, _column(drains, 0))
    yield _processor(options.jobs, _column(drains, 1))
    maps = pair.in_turn("map", options.calls, rounds)
    yield from _rates(f"{name}: map, 2 processes", options.calls, _column(maps, 0))
    yield _processor(options.calls, _column(maps, 1))
    few = pair.in_turn("idle", options.idle, 2)
    pair.in_turn("park", options.parked, 1)
    many = pair.in_turn("idle", options.idle, 4)
    ours, theirs = (median(column) * 100 for column in zip(*many, strict=True))
    without = median(own for own, _ in few) * 100
    title = f"{name}: idle beside {options.parked:,} keys and maps, of one core"
    yield Figure(title, ours, "%", None, "", theirs or None, "other")
    yield Figure("… more than beside none", ours - without, "%", _MORE, "≤")


def _rates(name: str, number: int, seconds: Sequence[tuple[float, float]]) -> Iterator[Figure]:
    ours, theirs = (number / median(column) for column in zip(*seconds, strict=True))
    yield Figure(name, ours, "/s", None, "", theirs, "other")
    share = median(other / own for own, other in seconds)
    yield Figure("… as a share, median of the pairs", share, "", _LEAST, "≥")


def _processor(number: int, seconds: Sequence[tuple[float, float]]) -> Figure:
    ours, theirs = (median(column) / number * 1e6 for column in zip(*seconds, strict=True))
    return Figure(
        "… the workers' processor time, each", ours, "µs", None, "", theirs or None, "other"
    )


def _column(pairs: Sequence[tuple[Any, Any]], number: int) -> list[tuple[float, float]]:
    return [(own[number], other[number]) for own, other in pairs]


class Version:
    """A process that measures one version."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions, self._answers = questions, answers

    def ask(self, verb: str, number: int) -> Any:
        """Run a measurement in the process and return its figures."""
        self._questions.write(json.dumps([verb, number]) + "\n")
        self._questions.flush()
        line = self._answers.readline()
        if not line:
            raise SystemExit(f"mainspring bench version: {verb!r} failed; see above")
        return json.loads(line)


class Pair:
    """This version and the other one."""

    def __init__(self, versions: Iterator[Version]) -> None:
        self._own, self._other = versions

    def in_turn(self, verb: str, number: int, rounds: int) -> list[tuple[Any, Any]]:
        """Return the figures of both for each round. The versions take turns to go first."""
        found = []
        for turn in range(rounds):
            if turn % 2:
                other = self._other.ask(verb, number)
                found.append((self._own.ask(verb, number), other))
            else:
                own = self._own.ask(verb, number)
                found.append((own, self._other.ask(verb, number)))
        return found


@contextmanager
def _version(source: Path, name: str, options: argparse.Namespace) -> Iterator[Version]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mainspring-bench-"))
        engine = stack.enter_context(opened(name, options, folder))
        template = Path(__file__).with_name("version_template")
        environment = os.environ | {
            # Before installed packages, so that a version is measured from its own folder.
            "PYTHONPATH": os.pathsep.join([str(source), str(template)]),
            "DJANGO_SETTINGS_MODULE": "version_project.settings",
            "VERSION_DATABASE": json.dumps(engine.database),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "version_project.measuring"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            if process.stdin is None or process.stdout is None:
                raise AssertionError("Both are pipes")
            yield Version(process.stdin, process.stdout)
        finally:
            process.communicate()
