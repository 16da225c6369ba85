"""Measuring side by side, and telling the figures as a table and as JSON."""

import gc
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import django
from rich.console import Console
from rich.table import Table

import mainspring


class Row(NamedTuple):
    """One figure of ours beside the same figure of something else's."""

    name: str
    ours: float
    theirs: float
    unit: str
    limit: float | None = None
    """What ``ours / theirs`` may come to at most, or at least if ``more_is_better``."""
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """Ours as a multiple of theirs."""
        return self.ours / self.theirs

    @property
    def is_met(self) -> bool:
        """Whether the ratio keeps the limit, if there is one."""
        if self.limit is None:
            return True
        return self.ratio >= self.limit if self.more_is_better else self.ratio <= self.limit


def seconds_per_call(call: Callable[[], object], number: int) -> float:
    """Return how long one of ``number`` calls takes, in seconds, garbage collection left out."""
    # A loop over repeated arguments costs 0.02 µs a call, for ours and theirs alike.
    calls = [call] * number
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for one in calls:
            one()
        return (time.perf_counter() - start) / number
    finally:
        if was_enabled:
            gc.enable()


def side_by_side(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[float, float]:
    """Measure both in turn, ``rounds`` times, and return the median of each.

    In turn, so that whatever slows the machine down for a while slows both.
    """
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return median(one for one, _ in pairs), median(other for _, other in pairs)


def print_table(title: str, theirs: str, rows: Sequence[Row], console: Console) -> None:
    """Print ``rows``; ``theirs`` is what ours are compared with."""
    table = Table(title=title)
    table.add_column("")
    for heading in ("ours", theirs, "ratio", "limit"):
        table.add_column(heading, justify="right")
    table.add_column("met")
    for row in rows:
        table.add_row(
            row.name,
            f"{_number(row.ours)} {row.unit}",
            f"{_number(row.theirs)} {row.unit}",
            f"{row.ratio:.2f}",
            *_verdict(row),
        )
    console.print(table)
    console.print(environment(), style="dim", highlight=False)


def write_json(path: str | Path, benchmark: str, rows: "Sequence[Row | Figure]") -> None:
    """Write ``rows``, and what they were measured on, to the file ``path``."""
    figures: list[dict[str, Any]] = [{**row._asdict(), "is_met": row.is_met} for row in rows]
    content = {"benchmark": benchmark, "environment": environment(), "figures": figures}
    Path(path).write_text(json.dumps(content, indent=2) + "\n")


def environment() -> str:
    """Return the versions that figures depend on, in one line."""
    return (
        f"Mainspring {mainspring.__version__}, Django {django.__version__}, "
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}"
    )


def _verdict(row: Row) -> tuple[str, str]:
    if row.limit is None:
        return "", ""
    return (
        f"{'≥' if row.more_is_better else '≤'} {row.limit:.2f}",
        "[green]yes[/green]" if row.is_met else "[red]no[/red]",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class Figure(NamedTuple):
    """One figure beside its limit, and beside what the bare engine does in the same run."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    relation: str = ""
    """``≥`` or ``≤``: how ``value`` is to stand to ``limit``."""
    bare: float | None = None
    bare_name: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the value keeps the limit, or has none."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.relation == "≥" else self.value <= self.limit


def print_figures(
    title: str, figures: Sequence[Figure], console: Console, beside: str = "bare engine"
) -> None:
    """Print ``figures`` as a table; ``beside`` is what they are compared with."""
    table = Table(title=title)
    table.add_column("")
    table.add_column("measured", justify="right")
    table.add_column(beside, justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("met")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{_number(figure.value)} {figure.unit}",
            *_beside_bare(figure),
            "" if figure.limit is None else f"{figure.relation} {_number(figure.limit)}",
            "" if figure.limit is None else "[green]yes[/]" if figure.is_met else "[red]no[/]",
        )
    console.print(table)
    console.print(environment(), style="dim", highlight=False)


def _beside_bare(figure: Figure) -> tuple[str, str]:
    if figure.bare is None:
        return "", ""
    return (
        f"{_number(figure.bare)} {figure.unit} ({figure.bare_name})",
        f"{figure.value / figure.bare:.2f}",
    )
