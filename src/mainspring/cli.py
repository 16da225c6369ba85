"""The command `mainspring`: what needs no Django project of one's own."""

import argparse
import sys
from importlib import import_module
from typing import Final

_SUBJECTS: Final = {
    "core": "the core types, beside Django's own",
    "postgresql": "the queue on PostgreSQL, beside bare loops",
    "mariadb": "the queue on MariaDB or MySQL, beside a bare loop",
    "growth": "how the costs on PostgreSQL grow with rows, workers and payloads",
    "bloat": "PostgreSQL's table under a long load",
    "snapshot": "the queue while a transaction stays open",
    "compare": "the queue beside its rivals; also written: bench --compare",
    "map": "maps of millions of calls, beside Pool.map and others",
    "version": "this version of Mainspring beside another one",
    "sqlite": "the queue on SQLite, beside a bare loop",
}
_MODULES: Final = {"map": "maps"}  # of those that have another name


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
    for name, summary in _SUBJECTS.items():
        module = _MODULES.get(name, name)
        _add(subjects, name, summary, f"mainspring.bench.{module}")
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    module: str,
) -> None:
    commands.add_parser(name, help=summary, add_help=False).set_defaults(module=module)
