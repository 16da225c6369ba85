"""The bar that shows how far a map is, in a terminal or a notebook."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from mainspring.core.map_results import MapProgress

_PAUSE: Final = 0.2  # seconds between two looks
_SHARE: Final = 10  # looking takes a tenth of the time at most
_LARGE: Final = 100_000  # calls: shown as 100k


class ProgressBar:
    """A bar with rate and time left, under a name, from what ``look`` returns."""

    def __init__(self, name: str, look: Callable[[], MapProgress]) -> None:
        # Imported here, as it takes 50 ms and few need it.
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        self._look = look
        self._next_at = 0.0
        seen = look()
        self._bar: Any = tqdm(
            desc=name.rpartition(".")[2],
            initial=seen.done,
            total=seen.total,
            unit=" calls",
            unit_scale=seen.total is None or seen.total >= _LARGE,
            dynamic_ncols=True,
            mininterval=0,
        )
        self._draw(seen)

    def show(self) -> bool:
        """Look again and draw, unless that was just done; whether the map is at its end."""
        began = time.monotonic()
        if began < self._next_at:
            return False
        seen = self._look()
        now = time.monotonic()
        self._next_at = now + max(_PAUSE, _SHARE * (now - began))
        self._draw(seen)
        return seen.is_finished

    def _draw(self, seen: MapProgress) -> None:
        bar = self._bar
        if bar.total != seen.total:
            bar.total = seen.total
        said = {"failed": f"{seen.failed:,}"} if seen.failed else {}
        if seen.done == seen.total and not seen.is_finished:
            said["now"] = "reducing"
        bar.set_postfix(said, refresh=False)
        if not bar.update(seen.done - bar.n):
            bar.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
