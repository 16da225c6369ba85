"""Take the items of a map from their source, without holding any back for long."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from mainspring.core.codec import no_collection

PATIENCE: Final = 0.05
"""Seconds for which items may be collected before they are stored."""

_PIECE: Final = 1000  # maximum number of items between two checks of the clock
_PIECE_TIME: Final = 0.01  # seconds that a piece should take at most


class Taker:
    """Takes items from an iterator, a few at a time."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._iterator = iter(items)
        self._piece = 1
        self._is_exhausted = False

    def take(self, most: int) -> list[Any]:
        """Return up to ``most`` items, fewer if they arrive slowly, and none at the end."""
        taken: list[Any] = []
        began = looked = time.monotonic()
        while len(taken) < most and not self._is_exhausted:
            before = len(taken)
            wanted = min(self._piece, most - before)
            with no_collection():  # a few hundredths of a second at most
                taken.extend(islice(self._iterator, wanted))
            self._is_exhausted = len(taken) < before + wanted
            now = time.monotonic()
            self._piece = _next_piece(wanted, now - looked)
            if now - began > PATIENCE:
                break
            looked = now
        return taken


def _next_piece(wanted: int, took: float) -> int:
    # At most twice as many, because the clock may not have advanced meanwhile.
    fit = _PIECE if not took else int(wanted * _PIECE_TIME / took)
    return max(min(2 * wanted, fit, _PIECE), 1)


async def take_async(
    items: AsyncIterable[Any], most: Callable[[], int]
) -> AsyncGenerator[list[Any], None]:
    """Yield lists of up to ``most()`` items that came within ``PATIENCE``, or since the last."""
    collected: list[Any] = []
    has_come, is_full, has_room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def collect() -> None:
        async for item in items:
            collected.append(item)
            has_come.set()
            if len(collected) >= most():
                has_room.clear()
                is_full.set()
                await has_room.wait()

    def end(_: object) -> None:
        has_come.set()
        is_full.set()

    collecting = asyncio.ensure_future(collect())
    collecting.add_done_callback(end)
    try:
        while collected or not collecting.done():
            await has_come.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(is_full.wait(), PATIENCE)
            taken = list(collected)
            collected.clear()
            if not collecting.done():
                has_come.clear()
                is_full.clear()
            has_room.set()
            if taken:
                yield taken
        await collecting  # raises the error of ``items``, if any
    finally:
        collecting.cancel()
        await asyncio.wait([collecting])
        if not collecting.cancelled():
            collecting.exception()  # raised above, or no longer relevant


def pull(lists: AsyncGenerator[list[Any], None], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Yield the items of lists that an event loop in another thread produces."""

    async def following() -> list[Any] | None:
        return await anext(lists, None)

    while (taken := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
        yield from taken
