"""``manage.py mainspring SUBCOMMAND``."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTaskBackend

from mainspring import __version__
from mainspring.backends.base import MainspringBackend
from mainspring.backends.storage import ANY_QUEUE
from mainspring.conf import QUEUE_NAME_RULE, is_queue_name
from mainspring.exceptions import StoreUnavailable
from mainspring.management.schedules import Schedules
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.standard_streams import open_missing
from mainspring.runtime.startup import import_tasks
from mainspring.runtime.supervisor import Supervisor
from mainspring.runtime.watcher import Reloader, is_reloaded, watch_files

_DEFAULTS = WorkerOptions()


class Command(BaseCommand):
    """The one command of Mainspring."""

    help = "Run background tasks."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="subcommand", required=True)
        worker = subcommands.add_parser("worker", help="Run tasks until stopped.")
        self._add_what_it_runs(worker)
        self._add_how_long_it_runs(worker)
        pause = subcommands.add_parser("pause", help="Have workers take nothing from a queue.")
        resume = subcommands.add_parser("resume", help="Have workers take from a queue again.")
        for command in (pause, resume):
            command.add_argument("queue", metavar="QUEUE")
            command.add_argument("--backend", default="default", help="Alias in TASKS.")
        schedules = subcommands.add_parser(
            "schedules", help="List schedules; run, pause or resume one of them."
        )
        schedules.add_argument("action", nargs="?", choices=("run", "pause", "resume"))
        schedules.add_argument("name", nargs="?", metavar="NAME", help="Of the schedule.")
        schedules.add_argument("--backend", default="default", help="Alias in TASKS.")

    def _add_what_it_runs(self, worker: argparse.ArgumentParser) -> None:
        worker.add_argument("--backend", default="default", help="Alias in TASKS.")
        worker.add_argument(
            "--processes",
            type=_positive,
            default=_DEFAULTS.processes,
            metavar="N",
            help="Processes that run tasks (default: the machine's cores, %(default)s).",
        )
        worker.add_argument(
            "--threads",
            type=_positive,
            default=_DEFAULTS.threads,
            metavar="N",
            help="Threads for sync tasks in each process; with 1, they run in the main thread.",
        )
        worker.add_argument(
            "--async-concurrency",
            type=_positive,
            default=_DEFAULTS.async_concurrency,
            metavar="N",
            help="Async tasks that each process runs at a time (%(default)s).",
        )
        worker.add_argument(
            "--queues",
            type=_queues,
            default=(ANY_QUEUE,),
            metavar="A,B,*",
            help="Queues in order of preference; * stands for all others (default: *).",
        )

    def _add_how_long_it_runs(self, worker: argparse.ArgumentParser) -> None:
        worker.add_argument(
            "--drain", action="store_true", help="Finish everything that is ready, then exit."
        )
        worker.add_argument(
            "--max-tasks",
            type=_positive,
            metavar="N",
            help="Replace a process after about so many tasks.",
        )
        worker.add_argument(
            "--max-memory",
            type=_positive,
            metavar="MB",
            help="Replace a process that uses more memory than this.",
        )
        worker.add_argument(
            "--shutdown-timeout",
            type=_seconds,
            default=_DEFAULTS.shutdown_timeout,
            metavar="SECONDS",
            help="Time that running tasks get to finish (%(default)s).",
        )
        worker.add_argument(
            "--reload", action="store_true", help="Start anew when code changes, for development."
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run Django's version, even if the standard streams were closed at the start."""
        if options["subcommand"] == "worker":
            opened = open_missing()
            if "stdout" in opened:
                self.stdout = OutputWrapper(sys.stdout)
            if "stderr" in opened:
                self.stderr = OutputWrapper(sys.stderr)
        return super().execute(*args, **options)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what the subcommand says."""
        if options["subcommand"] == "worker":
            self._work(options)
        elif options["subcommand"] == "schedules":
            self._do_with_schedules(options["action"], options["name"], options["backend"])
        else:
            is_pause = options["subcommand"] == "pause"
            self._pause_or_resume(is_pause, options["backend"], options["queue"])

    def _pause_or_resume(self, is_pause: bool, alias: str, queue: str) -> None:
        backend = self._backend(alias)
        if not is_queue_name(queue):
            raise CommandError(f"{queue!r} cannot be a queue: {QUEUE_NAME_RULE}.")
        self._require_queues(backend, [queue], "The command")
        storage = backend.storage
        try:
            has_changed = storage.pause(queue) if is_pause else storage.resume(queue)
        except StoreUnavailable as error:
            raise CommandError(str(error)) from None
        if has_changed:
            what = "nothing more from it" if is_pause else "from it again"
            text = f"is {'paused' if is_pause else 'resumed'}: within a second, workers take {what}"
        else:
            text = "was paused already" if is_pause else "was not paused"
        self.stdout.write(f"Queue {queue!r} of TASKS[{alias!r}] {text}.")

    def _do_with_schedules(self, action: str | None, name: str | None, alias: str) -> None:
        if action is not None and name is None:
            raise CommandError(f"Which one? schedules {action} NAME")
        backend = self._backend(alias)
        import_tasks()
        try:
            schedules = Schedules(backend)
            if action is None or name is None:
                lines = [*map("Left out: {}".format, schedules.problems), *schedules.table()]
            else:
                do = {
                    "run": schedules.enqueue,
                    "pause": schedules.pause,
                    "resume": schedules.resume,
                }[action]
                lines = [do(name)]
        except StoreUnavailable as error:
            raise CommandError(str(error)) from None
        finally:
            backend.storage.close_thread()
        for line in lines:
            self.stdout.write(line)

    def _work(self, options: dict[str, Any]) -> None:
        if options["reload"] and not is_reloaded():
            sys.exit(Reloader().run())
        chosen = WorkerOptions(
            backend=options["backend"],
            processes=options["processes"],
            threads=options["threads"],
            async_concurrency=options["async_concurrency"],
            queues=options["queues"],
            drain=options["drain"],
            max_tasks=options["max_tasks"],
            max_memory=options["max_memory"] and options["max_memory"] * 2**20,
            shutdown_timeout=options["shutdown_timeout"],
        )
        backend = self._backend(chosen.backend)
        self._require_queues(backend, chosen.queues, "--queues")
        self.stdout.write(
            f"mainspring {__version__}: {chosen.processes} processes, "
            f"queues {','.join(chosen.queues)}, {backend.storage.describe()}. Ctrl-C stops."
        )
        with self._logged_to_terminal(options["verbosity"]):
            import_tasks()
            status = Supervisor(chosen, watch_files if options["reload"] else None).run()
        if status:
            sys.exit(status)

    def _backend(self, alias: str) -> MainspringBackend:
        try:
            backend = task_backends[alias]
        except InvalidTaskBackend as error:
            raise CommandError(str(error)) from None
        if not isinstance(backend, MainspringBackend) or not backend.supports_worker:
            raise CommandError(
                f"TASKS[{alias!r}] is {type(backend).__name__}, which has no queue that "
                "a worker could share. Use DatabaseBackend."
            )
        try:
            backend.storage.describe()
        except InvalidTaskBackend as error:
            raise CommandError(str(error)) from None
        return backend

    def _require_queues(
        self, backend: MainspringBackend, names: Sequence[str], named_by: str
    ) -> None:
        unknown = [
            name
            for name in names
            if name != ANY_QUEUE and backend.queues and name not in backend.queues
        ]
        if unknown:
            raise CommandError(
                f"{named_by} names {unknown[0]!r}, which is not in TASKS[{backend.alias!r}]"
                f"['QUEUES'] ({', '.join(sorted(backend.queues))})."
            )

    @contextmanager
    def _logged_to_terminal(self, verbosity: int) -> Iterator[None]:
        # Where the project has configured no logging for it, the log goes to the terminal.
        logger = logging.getLogger("mainspring")
        if logger.hasHandlers() or not verbosity:
            yield
            return
        handler, level = logging.StreamHandler(), logger.level
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _queues(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different queue names")
    for name in names:
        if name != ANY_QUEUE and not is_queue_name(name):
            raise argparse.ArgumentTypeError(f"{name!r} cannot be a queue: {QUEUE_NAME_RULE}")
    return names
