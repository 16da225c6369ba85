"""The report of all runs: one table each."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

_NAME = 50
_VALUE = 10

type Table = tuple[str, Mapping[str, Any]]
"""What a run is called, and its rows: names and numbers."""


class Report:
    """Takes the tables of one test."""

    def __init__(self, add: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._add = add

    def add(self, run: str, rows: Mapping[str, Any]) -> None:
        """Add the table of one run: names and numbers."""
        self._add(run, rows)


def lines(tables: Iterable[Table]) -> list[str]:
    """Return tables as text."""
    found = []
    for run, rows in tables:
        found += ["", run, "-" * (_NAME + _VALUE)]
        found += [f"{name:{_NAME}}{_text(value):>{_VALUE}}" for name, value in rows.items()]
    return found


def _text(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else f"{value}"
