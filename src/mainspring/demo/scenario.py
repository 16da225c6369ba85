"""What the demo does, step by step."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mainspring.demo import project, report
from mainspring.demo.calls import Calls, Progress
from mainspring.demo.display import Display
from mainspring.demo.files import Found
from mainspring.demo.interrupts import Interrupts
from mainspring.demo.lines import Counted, Lines
from mainspring.demo.numbers import count, duration, megabytes
from mainspring.demo.summary import summarize
from mainspring.demo.worker import WorkerEnded, WorkerProcess

_POLL: Final = 0.1  # seconds
_RARELY: Final = 10  # so many times as long as a count took, until the next
_START: Final = 60.0  # seconds that the worker has to get ready
_STALL: Final = 15.0  # seconds without progress until that is told


class Scenario:
    """One run of the demo on some files of a folder. Each step may raise ``Interrupted``."""

    def __init__(
        self,
        console: Console,
        interrupts: Interrupts,
        sources: Path,
        found: Found,
        processes: int,
        keep: bool,
    ) -> None:
        self._console = console
        self._interrupts = interrupts
        self._sources = sources
        self._found = found
        self._files = found.files
        self._processes = processes
        self._keep = keep

    def run(self) -> None:
        """Do it all, and tidy up whatever happens."""
        size = sum(file.size for file in self._files)
        with self._project() as folder:
            with self._worker(folder) as worker:
                calls = Calls()
                self._await_ready(calls, worker)
                started = time.monotonic()
                self._enqueue(calls, size)
                self._watch(calls.progress, len(self._files), worker, started)
                counted = self._map_lines(worker)
            results = calls.results(self._interrupts.check)
            summary = summarize(results, str(self._sources))
            report.print_summary(self._console, summary, size)
            report.print_counted(self._console, counted)

    @contextmanager
    def _project(self) -> Iterator[Path]:
        self._interrupts.check()
        folder = project.make_folder()
        try:
            fate = "kept at the end" if self._keep else "removed at the end"
            self._say("Project", f"{folder}, on SQLite; {fate}")
            project.write_project(folder)
            project.set_up(folder)
            self._interrupts.check()
            yield folder
        finally:
            if self._keep:
                report.print_kept(self._console, folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _worker(self, folder: Path) -> Iterator[WorkerProcess]:
        worker = WorkerProcess(folder, self._processes)
        try:
            yield worker
        finally:
            # A second signal is for those who cannot wait.
            worker.stop(lambda: self._interrupts.count > 1)

    def _await_ready(self, calls: Calls, worker: WorkerProcess) -> None:
        began = time.monotonic()
        while calls.count_workers() < self._processes:
            self._interrupts.sleep(_POLL / 4)
            worker.check()
            if time.monotonic() > began + _START:
                raise WorkerEnded(
                    f"The worker is not ready after {_START:.0f} s.\n{worker.log_tail()}"
                )
        took = duration(time.monotonic() - began)
        self._say("Worker", f"{count(self._processes, 'process', 'processes')}, ready after {took}")

    def _enqueue(self, calls: Calls, size: int) -> None:
        began = time.monotonic()
        calls.enqueue(self._files, self._interrupts.check)
        took = duration(time.monotonic() - began)
        number = count(len(self._files), "file")
        self._say(
            "Tasks",
            f"one for each of {number} ({megabytes(size)}) in {self._sources}, enqueued in {took}",
        )
        if self._found.nameless:
            nameless = count(self._found.nameless, "file")
            self._say("", f"left out: {nameless}, for a name that is not Unicode")
        if self._found.unreadable:
            unreadable = count(self._found.unreadable, "folder")
            self._say("", f"left out: {unreadable}, which cannot be read")

    def _map_lines(self, worker: WorkerProcess) -> Counted:
        lines = Lines(self._files, self._interrupts.check)
        total, handle = len(lines.handle), lines.handle
        took = duration(time.monotonic() - lines.began)
        self._say("Map", f"one call for each of {count(total, 'line')}, read and stored in {took}")

        def progress() -> Progress:
            seen = handle.progress
            return Progress(seen.done, seen.failed)

        self._watch(progress, total, worker, lines.began)
        while not handle.is_finished:  # what was counted is being merged
            worker.check()
            self._interrupts.sleep(_POLL / 4)
        return lines.counted()

    def _watch(
        self,
        look: Callable[[], Progress],
        total: int,
        worker: WorkerProcess,
        started: float,
    ) -> None:
        finished, since = 0, time.monotonic()
        with Display(self._console, total, started) as display:
            while True:
                began = time.monotonic()
                progress = look()
                display.show(progress)
                if progress.finished == total:
                    return
                now = time.monotonic()
                if progress.finished > finished:
                    finished, since = progress.finished, now
                elif now - since > _STALL:
                    display.say(f"Nothing has finished for {_STALL:.0f} s. {worker.log_tail(1)}")
                    since = now
                worker.check()
                self._interrupts.sleep(max(_POLL, (now - began) * _RARELY))

    def _say(self, label: str, text: str) -> None:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=7, style="bold")
        grid.add_column(overflow="fold")
        grid.add_row(label, Text(text))
        self._console.print(grid)
