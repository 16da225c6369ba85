"""Wait for a result: notified by the store if it can, else by polling."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from asgiref.sync import sync_to_async

from mainspring.backends.stalls import Awaited, Stall
from mainspring.backends.storage import Storage
from mainspring.exceptions import StoreUnavailable

_FIRST_POLL: Final = 0.001  # seconds
_SLOWEST_POLL: Final = 0.05
_SAFETY_POLL: Final = 1.0
_LONGEST_OUTAGE: Final = 30.0


def wait_until[T](
    storage: Storage,
    awaited: Awaited,
    timeout: float | None,
    look: Callable[[], T | None],
) -> T:
    """Return what ``look`` returns once that is not None.

    The store notifies us when to look again, if it can watch ``awaited``. Raises ``TimeoutError``
    after ``timeout`` seconds and one last look, and ``TransactionManagementError`` at once if
    the caller's transaction hides what it waits for.
    """
    told, outage, stall = threading.Event(), Outage(), Stall(storage, awaited)
    with watching(storage, awaited.watched_id, told.set) as is_live, stall.known():
        for pause in pauses(awaited.name, timeout, is_live):
            told.clear()
            with outage.borne(pause):
                if (seen := look()) is not None:
                    return seen
                if pause and not stall.seconds_to_check:
                    stall.check()
            told.wait(min(pause, stall.seconds_to_check or pause))
    raise AssertionError("unreachable")


async def await_until[T](
    storage: Storage,
    awaited: Awaited,
    timeout: float | None,  # noqa: ASYNC109 # the sync form's own
    look: Callable[[], Awaitable[T | None]],
) -> T:
    """See :func:`wait_until`."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(told.set)

    outage, stall = Outage(), Stall(storage, awaited)
    with watching(storage, awaited.watched_id, tell) as is_live, stall.known():
        for pause in pauses(awaited.name, timeout, is_live):
            told.clear()
            with outage.borne(pause):
                if (seen := await look()) is not None:
                    return seen
                if pause and not stall.seconds_to_check:
                    await sync_to_async(stall.check)()
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), min(pause, stall.seconds_to_check or pause))
    raise AssertionError("unreachable")


def wait_in_steps(
    storage: Storage,
    awaited: Awaited,
    timeout: float | None,
    wait: Callable[[float], bool],
) -> None:
    """Call ``wait``, which waits in the store for at most the given seconds, until it is True.

    Raises ``TimeoutError`` after ``timeout`` seconds.
    """
    end = None if timeout is None else time.monotonic() + timeout
    stall = Stall(storage, awaited)
    with stall.known():
        while True:
            stall.check()
            step = stall.seconds_to_check
            left = step if end is None else max(end - time.monotonic(), 0)
            if wait(min(step, left)):
                return
            if left <= step and end is not None:
                raise TimeoutError(_not_finished(awaited.name, timeout))


@contextmanager
def watching(
    storage: Storage, watched_id: str | None, tell: Callable[[], None]
) -> Iterator[Callable[[], bool]]:
    """Call ``tell`` during the block when the watched job may have finished; watch no job if None.

    Yields a function that returns True while such notifications can arrive.
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
    # From 1 ms to 50 ms: short waits are answered fast, long ones cost nearly nothing. A notified
    # caller polls only in case a notification was lost.
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
                raise TimeoutError(_not_finished(what, timeout))
        pause = min(pause * 1.5, _SLOWEST_POLL)


def _not_finished(what: str, timeout: float | None) -> str:
    return f"{what} was not finished within {timeout} s."
