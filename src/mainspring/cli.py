"""The command `mainspring`: what needs no Django project of one's own."""

import argparse
import sys
from importlib import import_module


def main(argv: list[str] | None = None) -> int:
    """Run the command that ``argv`` (by default, the command line) names; return its exit status.

    0 is success, 1 a failure that was told, 2 a command line that is wrong, and 130 Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    if words[:2] == ["bench", "--compare"]:
        words = ["bench", "compare", *words[2:]]
    # What follows a command is for its own parser, which also tells its own --help.
    options, rest = _parser().parse_known_args(words)
    try:
        return int(import_module(options.module).main(rest))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mainspring",
        description="Background tasks for Django. In a project, see: manage.py mainspring --help",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(
        commands,
        "demo",
        "count what the source files of Python's standard library hold, a task for each",
        "mainspring.demo",
    )
    bench = commands.add_parser("bench", help="measure", description="Measure on this machine.")
    subjects = bench.add_subparsers(required=True, metavar="WHAT")
    _add(subjects, "core", "the core types, beside Django's own", "mainspring.bench.core")
    _add(
        subjects,
        "postgresql",
        "the queue on PostgreSQL, beside bare loops",
        "mainspring.bench.postgresql",
    )
    _add(
        subjects,
        "mariadb",
        "the queue on MariaDB or MySQL, beside a bare loop",
        "mainspring.bench.mariadb",
    )
    _add(
        subjects,
        "growth",
        "how the costs on PostgreSQL grow with rows, workers and payloads",
        "mainspring.bench.growth",
    )
    _add(subjects, "bloat", "PostgreSQL's table under a long load", "mainspring.bench.bloat")
    _add(
        subjects,
        "snapshot",
        "the queue while a transaction stays open",
        "mainspring.bench.snapshot",
    )
    _add(
        subjects,
        "compare",
        "the queue beside its rivals; also written: bench --compare",
        "mainspring.bench.compare",
    )
    _add(
        subjects,
        "map",
        "maps of millions of calls, beside Pool.map and others",
        "mainspring.bench.maps",
    )
    _add(
        subjects,
        "version",
        "this version of Mainspring beside another one",
        "mainspring.bench.version",
    )
    _add(subjects, "sqlite", "the queue on SQLite, beside a bare loop", "mainspring.bench.sqlite")
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    module: str,
) -> None:
    commands.add_parser(name, help=summary, add_help=False).set_defaults(module=module)
