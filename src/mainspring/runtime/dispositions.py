"""Restore the signal handlers, timers and signal mask that a task has changed.

Timers are those that send signals. Handlers and timers are restored in the main thread, the mask in
each thread that runs tasks. Processes that the worker does not own are left unchanged.
"""

import _signal  # type: ignore[import-not-found] # the module signal looks up enums, which takes 5 µs
import signal
import threading
from typing import Any, Final

from mainspring.backends.signal_handlers import handle, handled
from mainspring.runtime import crashes

_get, _mask = _signal.getsignal, _signal.pthread_sigmask
_BLOCK, _SET, _REAL = int(signal.SIG_BLOCK), int(signal.SIG_SETMASK), int(signal.ITIMER_REAL)
_TIMERS: Final = {
    signal.SIGALRM: signal.ITIMER_REAL,
    signal.SIGVTALRM: signal.ITIMER_VIRTUAL,
    signal.SIGPROF: signal.ITIMER_PROF,
}
# Signals that cannot be handled, and those that faulthandler handles without Python.
_FIXED: Final = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGSEGV,
        signal.SIGFPE,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        crashes.DUMP,
    }
)
# The signals that programs use. Others are checked only if one of these was changed.
_WATCHED: Final = frozenset({signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2})
_NONE: Final = (0.0, 0.0)
_MOST_TRIES: Final = 10


class _Kept:
    """The state in which each task begins."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        numbers = {int(number) for number in signal.valid_signals() - _FIXED}
        self._handlers: dict[int, Any] = {number: _get(number) for number in numbers}
        self._watched = sorted(numbers & {int(number) for number in _WATCHED | handled()})
        self._expected = [self._handlers[number] for number in self._watched]
        self._mask = _mask(_BLOCK, ())

    def restore(self) -> None:
        if self.thread != threading.get_ident():  # other threads cannot set handlers
            if _mask(_BLOCK, ()) != self._mask:
                _mask(_SET, self._mask)
        elif not self._is_as_it_was():
            self._put_back_surely()

    def _is_as_it_was(self) -> bool:
        return (
            [*map(_get, self._watched)] == self._expected
            and signal.getitimer(_REAL) == _NONE
            and _mask(_BLOCK, ()) == self._mask
        )

    def _put_back_surely(self) -> None:
        for _ in range(_MOST_TRIES):
            try:
                self._put_back()
            except BaseException:  # noqa: BLE001, S112 # raised by a handler that the task left
                continue
            return

    def _put_back(self) -> None:
        for timer in _TIMERS.values():
            signal.setitimer(timer, 0)
        for number, handler in self._handlers.items():
            # None: the handler was not set by Python, and Python cannot set it.
            if handler is not None and _get(number) != handler:
                signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        _mask(_SET, self._mask)


_kept: _Kept | None = None


def keep() -> None:
    """Keep the current state, to be restored after each task. Called by the main thread.

    After that, a timer that expires without a handler no longer ends the process.
    """
    global _kept  # noqa: PLW0603 # the state belongs to the process
    for number in _TIMERS:
        if signal.getsignal(number) == signal.SIG_DFL:
            handle(number, _end_timer)
    _kept = _Kept()


def restore() -> None:
    """Restore what a task in this thread has changed. Does nothing before :func:`keep`."""
    if _kept is not None:
        _kept.restore()


def _end_timer(number: int, _frame: Any) -> None:
    signal.setitimer(_TIMERS[signal.Signals(number)], 0)
