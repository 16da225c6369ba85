"""What the demo prints at its end."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from mainspring.demo.lines import Counted
from mainspring.demo.numbers import count, duration, megabytes, percentile
from mainspring.demo.summary import Failure, Parsed, Summary

_MOST_FILES: Final = 5
_MOST_FAILURES: Final = 20
_PERCENTILES: Final = (0.0, 0.50, 0.95, 0.99, 1.0)
_WIDEST: Final = 100  # columns; lines of wider tables are hard to follow


def print_summary(console: Console, summary: Summary, size: int) -> None:
    """Print what was found in ``size`` bytes of files, how fast it went, and what failed."""
    console.print()
    if summary.parsed:
        _print_found(console, summary.parsed)
    _print_speed(console, summary, size)
    if summary.failures:
        _print_failures(console, summary.failures)
    else:
        console.print("No task failed.")


def print_counted(console: Console, counted: Counted) -> None:
    """Print what the map over the lines has counted, and how fast it went."""
    columns = _numbers("The most frequent keywords", "Times")
    table = _table(console, "Mapped and reduced", *columns)
    frequent = sorted(counted.keywords.items(), key=lambda item: item[1], reverse=True)
    for word, number in frequent[:_MOST_FILES]:
        table.add_row(_plain(word), _whole(number))
    console.print(table)
    rate = counted.lines / max(counted.seconds, 1e-6)
    console.print(
        f"[bold]{count(counted.lines, 'line')} in {duration(counted.seconds)}[/bold]: "
        f"{rate:,.0f} calls/s, each with a result of its own.\n"
    )


def print_kept(console: Console, folder: Path) -> None:
    """Print where the project is kept, and commands to look around in it."""
    python = f"{shlex.quote(sys.executable)} manage.py"
    read_one = (
        "from mainspring.backends.database.models import StoredJob; "
        "from sources.tasks import count_source; "
        'ids = StoredJob.objects.filter(task_path=count_source.module_path).values_list("pk"); '
        "print(count_source.get_result(ids[0][0]))"
    )
    lines = [
        "",
        "The project is kept. To look around:",
        f"  cd {shlex.quote(str(folder))}",
        "  cat sources/tasks.py website/settings.py worker.log",
        f"  {python} shell -v 0 -c {shlex.quote(read_one)}",
        f"  {python} mainspring worker --drain",
        f"  rm -r {shlex.quote(str(folder))}",
    ]
    # Never wrapped, so that the commands can be copied.
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _print_found(console: Console, parsed: Sequence[Parsed]) -> None:
    columns = _numbers("The largest files", "Functions", "Classes", "Words")
    table = _table(console, "Found", *columns)
    largest = sorted(parsed, key=lambda file: file.words, reverse=True)[:_MOST_FILES]
    for file in largest:
        table.add_row(_plain(file.path), *map(_whole, (file.functions, file.classes, file.words)))
    if rest := len(parsed) - len(largest):
        table.add_row(f"and {rest:,} more", style="dim")
    table.add_section()
    totals = (
        sum(file.functions for file in parsed),
        sum(file.classes for file in parsed),
        sum(file.words for file in parsed),
    )
    table.add_row(f"{count(len(parsed), 'file')} parsed", *map(_whole, totals), style="bold")
    console.print(table)


def _print_speed(console: Console, summary: Summary, size: int) -> None:
    columns = _numbers("Each task", "Least", "p50", "p95", "p99", "Most")
    table = _table(console, "Latency", *columns)
    for name, values in (
        ("From enqueue to start", summary.waits),
        ("From start to end", summary.runs),
    ):
        table.add_row(name, *(duration(percentile(values, share)) for share in _PERCENTILES))
    console.print(table)
    console.print(
        "Tasks are enqueued faster than they run: most of that wait is for others' turns."
    )
    calls, seconds = len(summary.runs), max(summary.seconds, 1e-6)
    console.print(
        f"[bold]{count(calls, 'task')} in {duration(seconds)}[/bold]: "
        f"{calls / seconds:,.0f} tasks/s, {megabytes(size / seconds)}/s of source.\n"
    )


def _print_failures(console: Console, failures: Sequence[Failure]) -> None:
    columns = (
        Column("File", ratio=6, overflow="fold"),
        Column("Error", ratio=5, overflow="fold"),
    )
    table = _table(console, f"{count(len(failures), 'task')} failed", *columns)
    for failure in failures[:_MOST_FAILURES]:
        error = Text(failure.error, style="red")
        if failure.message:
            error = Text.assemble(error, ": ", _plain(failure.message))
        table.add_row(_plain(failure.path), error)
    if (rest := len(failures) - _MOST_FAILURES) > 0:
        table.add_row(f"and {rest:,} more", style="dim")
    console.print(table)


def _numbers(first: str, *names: str) -> list[Column]:
    # The first column takes what the numbers leave.
    numbers = [Column(name, justify="right", no_wrap=True) for name in names]
    return [Column(first, ratio=1, overflow="fold"), *numbers]


def _table(console: Console, title: str, *columns: Column) -> Table:
    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        width=min(console.width, _WIDEST),
    )


def _whole(number: int) -> str:
    return f"{number:,}"


def _plain(text: str) -> Text:
    """Return text of others: neither markup nor control characters have a meaning in it."""
    return Text(text if text.isprintable() else ascii(text)[1:-1])
