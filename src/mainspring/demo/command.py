"""The demo from its command line to its end."""

import argparse
import io
import sys
from pathlib import Path

from django.db import DatabaseError
from django.tasks.exceptions import TaskException
from rich.console import Console

from mainspring.demo import files
from mainspring.demo.interrupts import Interrupted, Interrupts
from mainspring.demo.scenario import Scenario
from mainspring.demo.worker import WorkerEnded
from mainspring.runtime.options import WorkerOptions


def run(argv: list[str]) -> int:
    """Run the demo; return the exit status: 0, 1 for a failure that was told, 130 for Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(argv)
    _never_fail_to_print()
    console = Console(highlight=False)
    with Interrupts() as interrupts:
        try:
            folder = options.files or files.standard_library()
            skip = frozenset() if options.files else files.INSTALLED
            found = files.find_files(folder, interrupts.check, skip)
            if not found.files:
                parser.error(f"{folder} holds no Python files (*.py)")
            Scenario(console, interrupts, folder, found, options.processes, options.keep).run()
        except Interrupted:
            console.print("Stopped." if options.keep else "Stopped; nothing is left behind.")
            return interrupts.exit_status
        except (WorkerEnded, OSError, DatabaseError, TaskException) as error:
            Console(stderr=True).print(
                f"mainspring demo: {error}", markup=False, highlight=False, soft_wrap=True
            )
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mainspring demo",
        description="Make a Django project on SQLite in a temporary folder, start a worker, and "
        "enqueue a task for each source file of Python's standard library, which parses the file "
        "and counts what is in it. Then tell what was found, how fast, and what failed.",
    )
    parser.add_argument(
        "--files",
        type=_folder,
        metavar="PATH",
        help="read the Python files below this folder instead of the standard library's",
    )
    parser.add_argument(
        "--processes",
        type=_positive,
        default=WorkerOptions().processes,
        metavar="N",
        help="processes that run tasks (default: the machine's cores, %(default)s)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the folder with the project, and print commands to look around in it",
    )
    return parser


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text!r} does not exist")
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path.resolve()


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def _never_fail_to_print() -> None:
    # Files may have names that the terminal's encoding lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
