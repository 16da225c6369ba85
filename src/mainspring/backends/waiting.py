"""How a caller waits for a result: told by the store where it can, else by looking."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.exceptions import StoreUnavailable

_FIRST_POLL: Final = 0.001  # seconds
_SLOWEST_POLL: Final = 0.05
_SAFETY_POLL: Final = 1.0
_LONGEST_OUTAGE: Final = 30.0


def wait_until[T](
    storage: Storage,
    watched_id: str | None,
    what: str,
    timeout: float | None,
    look: Callable[[], T | None],
) -> T:
    """Return what ``look`` returns once that is not None.

    The store tells when to look again, if it can for the job, or map, of ``watched_id``. Raises
    ``TimeoutError``, about ``what``, after ``timeout`` seconds and one last look.
    """
    told, outage = threading.Event(), Outage()
    with watching(storage, watched_id, told.set) as is_live:
        for pause in pauses(what, timeout, is_live):
            told.clear()
            with outage.borne(pause):
                if (seen := look()) is not None:
                    return seen
            told.wait(pause)
    raise AssertionError("unreachable")


async def await_until[T](
    storage: Storage,
    watched_id: str | None,
    what: str,
    timeout: float | None,  # noqa: ASYNC109 # the sync form's own
    look: Callable[[], Awaitable[T | None]],
) -> T:
    """See :func:`wait_until`."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(told.set)

    outage = Outage()
    with watching(storage, watched_id, tell) as is_live:
        for pause in pauses(what, timeout, is_live):
            told.clear()
            with outage.borne(pause):
                if (seen := await look()) is not None:
                    return seen
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), pause)
    raise AssertionError("unreachable")


@contextmanager
def watching(
    storage: Storage, watched_id: str | None, tell: Callable[[], None]
) -> Iterator[Callable[[], bool]]:
    """Have ``tell`` called during the block when what is watched may be there; None for nothing.

    Gives a function that tells whether that holds just now.
    """
    watch = None if watched_id is None else storage.watch(watched_id, tell)
    if watch is None:
        yield lambda: False
        return
    try:
        yield watch.is_live
    finally:
        watch.forget()


class Outage:
    """How long a caller that waits for a result has not reached the store."""

    def __init__(self) -> None:
        self._began_at: float | None = None

    @contextmanager
    def borne(self, pause: float) -> Iterator[None]:
        """Bear a store that cannot be reached, for a while and if there is a ``pause`` left."""
        try:
            yield
        except StoreUnavailable:
            now = time.monotonic()
            if self._began_at is None:
                self._began_at = now
            if not pause or now - self._began_at > _LONGEST_OUTAGE:
                raise
        else:
            self._began_at = None


def pauses(what: str, timeout: float | None, is_live: Callable[[], bool]) -> Iterator[float]:
    """Return how many seconds to wait between two looks at a result, one after the other.

    Raises ``TimeoutError``, about ``what``, after ``timeout`` seconds, and one last look.
    """
    # From 1 ms to 50 ms: short waits are answered fast, long ones cost nearly nothing. Who is told
    # looks by itself only in case that this was lost.
    end = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_POLL
    while True:
        longest = _SAFETY_POLL if is_live() else pause
        if end is None:
            yield longest
        else:
            left = end - time.monotonic()
            yield max(min(longest, left), 0)
            if left <= 0:
                raise TimeoutError(f"{what} was not finished within {timeout} s.")
        pause = min(pause * 1.5, _SLOWEST_POLL)
