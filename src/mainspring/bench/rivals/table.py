"""The table of a comparison: on the terminal, and as Markdown for the documentation."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from mainspring.bench.rivals.figures import Outcome, Summary, ours_to_theirs

HEADINGS: Final = (
    "drain, /s",
    "ours / theirs",
    "enqueue one by one, /s",
    "bulk, /s",
    "idle to started p50, ms",
    "p99, ms",
    "memory, MB",
)

_METHOD: Final = """\
No-op tasks of two integers, by 2 processes; medians. Drain: of a backlog, from the first task
started to the last one stored. Idle to started: from enqueueing a task to its start by an idle
worker. Memory: the tree of the workers, shared pages counted once."""


def fastest_first(outcomes: Sequence[Outcome]) -> list[Summary]:
    """Return the medians of those that were measured, ours and theirs, the fastest drain first."""
    summaries = [outcome.summary() for outcome in outcomes if outcome.is_measured]
    return sorted(summaries, key=lambda one: one.drain, reverse=True)


def print_comparison(outcomes: Sequence[Outcome], about: Sequence[str], console: Console) -> None:
    """Print the table, what failed, and the lines ``about`` the run."""
    table = Table(title="mainspring bench --compare")
    table.add_column("", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for name, *cells in _rows(outcomes):
        table.add_row(name, *cells)
    console.print(table)
    for line in failures(outcomes):
        console.print(line, style="red", markup=False, highlight=False)
    for line in about:
        console.print(line, style="dim", markup=False, highlight=False)


def as_markdown(outcomes: Sequence[Outcome], about: Sequence[str]) -> str:
    """Return the tables of figures and settings, what failed, and the lines ``about`` the run."""
    lines = _markdown_table(("", *HEADINGS), _rows(outcomes), right_from=1)
    lines += ["", _METHOD, "", "The settings, each time the fastest of those that were tried:", ""]
    settings = [[_titled(one), f"`{one.settings}`", one.keeps] for one in fastest_first(outcomes)]
    lines += _markdown_table(("", "settings", "kept of a task that is done"), settings, 3)
    if failed := failures(outcomes):
        lines += ["", *(f"- {_escaped(line)}" for line in failed)]
    return "\n".join([*lines, "", *(f"{line}  " for line in about)]) + "\n"


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each competitor, and each variant of one, that could not be measured."""
    lines = []
    for outcome in outcomes:
        name = outcome.competitor.name
        if outcome.error:
            lines.append(f"{name}: {outcome.error}")
        elif outcome.failed:
            lines += [f"{name}, {settings}: {why}" for settings, why in outcome.failed.items()]
    return lines


def rounded(value: float | None, digits: int = 3) -> str:
    """Return ``value`` with no more digits than it is worth; "" for None."""
    if value is None:
        return ""
    if value >= 10 ** (digits - 1):
        return f"{float(f'{value:.{digits}g}'):,.0f}"
    return f"{value:.{digits}g}" if value >= 1 else f"{value:.2f}"


def _rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    summaries = fastest_first(outcomes)
    ratio = ours_to_theirs(summaries)
    rows = [
        [
            _titled(one),
            rounded(one.drain),
            rounded(ratio(one)),
            rounded(one.one_by_one),
            rounded(one.bulk) or "none",
            rounded(one.p50),
            rounded(one.p99),
            rounded(one.memory),
        ]
        for one in summaries
    ]
    missing = [outcome.competitor.name for outcome in outcomes if not outcome.is_measured]
    return [*rows, *([name, "failed", *[""] * 6] for name in missing)]


def _titled(one: Summary) -> str:
    return f"{one.name} {one.version}".strip()


def _markdown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right_from: int
) -> list[str]:
    rules = ["---" if i < right_from else "---:" for i in range(len(headings))]
    cells = [[_escaped(cell) for cell in row] for row in rows]
    return [
        f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in row)}|"
        for row in (headings, rules, *cells)
    ]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
