"""Watching how much memory processes take."""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import psutil

_PAUSE: Final = 0.05  # seconds


class PeakMemory:
    """The most that any one of some processes takes at any one moment; a context manager."""

    def __init__(self, processes: Callable[[], "Sequence[psutil.Process]"]) -> None:
        """``processes`` returns those that there are."""
        self.bytes = 0
        """What was resident in the largest one at its peak."""
        self._processes = processes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        while not self._ended.wait(_PAUSE):
            try:
                sizes = [process.memory_info().rss for process in self._processes()]
            except psutil.Error:  # one has just ended
                continue
            self.bytes = max([self.bytes, *sizes])
