"""The demo's map: a call for each line of the files, and their counts merged."""

import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from mainspring.demo.files import SourceFile

if TYPE_CHECKING:
    from mainspring.core.map_results import MapResult

_LONGEST: Final = 10_000  # characters of a line


class Counted(NamedTuple):
    """What came of it."""

    lines: int
    seconds: float
    """From the first line read to the merged counts."""
    keywords: dict[str, int]


class Lines:
    """One map. Needs the project's settings in force."""

    def __init__(self, files: Sequence[SourceFile], check: Callable[[], None]) -> None:
        """``check`` is called for each file, and may raise."""
        tasks = import_module("sources.tasks")
        self.began = time.monotonic()
        self.handle: MapResult[dict[str, int]] = tasks.count_keywords.map(
            _lines_of(files, check), reduce=tasks.merge_counts
        )

    def counted(self) -> Counted:
        """Return what came of it, when the map is finished."""
        seconds = time.monotonic() - self.began
        number = len(self.handle)
        return Counted(number, seconds, self.handle.result.return_value if number else {})


def _lines_of(files: Sequence[SourceFile], check: Callable[[], None]) -> Iterator[str]:
    for file in files:
        check()
        try:
            with open(file.path, encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 # half the time
                for line in lines:
                    yield line[:_LONGEST]
        except OSError:  # deleted since, or not to be read
            continue
