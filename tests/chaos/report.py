"""The report of all runs: one table each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAME = 50
_VALUE = 10


@dataclass
class Report:
    """The tables of all runs of a session."""

    tables: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def add(self, run: str, rows: Mapping[str, Any]) -> None:
        """Add the table of one run: names and numbers."""
        self.tables.append((run, rows))

    def lines(self) -> list[str]:
        """Return the report as text."""
        found = []
        for run, rows in self.tables:
            found += ["", run, "-" * (_NAME + _VALUE)]
            found += [f"{name:{_NAME}}{_text(value):>{_VALUE}}" for name, value in rows.items()]
        return found


def _text(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else f"{value}"
