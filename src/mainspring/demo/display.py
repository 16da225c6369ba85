"""Progress while the calls run: a bar in a terminal, a line now and then elsewhere."""

import time
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from mainspring.demo.calls import Progress
from mainspring.demo.numbers import duration

_BETWEEN_LINES: Final = 2.0  # seconds
_REST: Final = 53  # columns for what stands beside the bar


class Display:
    """Shows how far ``total`` calls are; a context manager."""

    def __init__(self, console: Console, total: int, started: float) -> None:
        """``started`` is the moment, of the monotonic clock, that rates are computed from."""
        self._console = console
        self._total = total
        self._started = self._told = started
        # Drawn when something is known, by the one thread: no signal comes in between.
        self._bar = Bar(
            SpinnerColumn(finished_text=" "),
            # Ends before the right margin, or the "^C" of the terminal would break the line.
            BarColumn(bar_width=min(max(console.width - _REST, 10), 60)),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
        )
        self._row = self._bar.add_task(self._describe(Progress(0, 0)), total=total)
        # FORCE_COLOR makes rich take anything for a terminal.
        self._is_drawn = console.is_interactive and console.file.isatty()

    def __enter__(self) -> Self:
        if self._is_drawn:
            self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._is_drawn:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show ``progress``."""
        if self._is_drawn:
            self._bar.update(
                self._row,
                completed=progress.finished,
                description=self._describe(progress),
                refresh=True,
            )
            return
        now = time.monotonic()
        if now - self._told >= _BETWEEN_LINES or progress.finished == self._total:
            self._told = now
            self._console.print(self._describe(progress))

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False)

    def _describe(self, progress: Progress) -> str:
        finished, failed = progress
        elapsed = max(time.monotonic() - self._started, 0.001)
        parts = [f"{finished:,} of {self._total:,}"]
        if finished:
            parts.append(f"{finished / elapsed:,.0f}/s")
        if 0 < finished < self._total:
            parts.append(f"{duration(elapsed * (self._total - finished) / finished)} left")
        return ", ".join([*parts, f"{failed:,} failed"])
