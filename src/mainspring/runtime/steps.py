"""Steps: a task's coroutine, run step by step, so that any exception can be raised in it."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any
from weakref import ref

_cancellations: dict[type[BaseException], type[BaseException]] = {}


class Steps:
    """Awaits a coroutine and can end it with an exception other than ``CancelledError``."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: Callable[[], None]) -> None:
        """``step`` is called before each step that the coroutine takes."""
        self._coroutine = coroutine
        self._step = step
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._told: BaseException | None = None
        # The last exception raised: class, arguments and, while it is handled, the exception.
        self._kind: type[BaseException] | None = None
        self._args: tuple[Any, ...] = ()
        self._raised: ref[BaseException] | None = None
        self._is_over = False

    def tell(self, error: BaseException) -> None:
        """Raise ``error`` where the coroutine awaits. May be called by any thread.

        Code that awaits there sees a cancellation: a task group ends its tasks. Does nothing while
        the coroutine still handles an earlier exception.
        """
        self._loop.call_soon_threadsafe(self._interrupt, error)

    def _interrupt(self, error: BaseException) -> None:
        is_handled = self._raised is not None and self._raised() is not None
        if self._task is None or self._is_over or self._told is not None or is_handled:
            return
        self._told = _as_cancellation(type(error))(*error.args)
        self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, step = self._coroutine, self._step
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                step()
                waits_for = coroutine.send(value) if error is None else coroutine.throw(error)
                value = error = None
                try:
                    value = yield waits_for
                except asyncio.CancelledError as cancelled:
                    error = self._told_instead_of(cancelled)
                except BaseException as raised:  # noqa: BLE001 # the coroutine's to handle
                    error = raised
        except StopIteration as stop:
            return stop.value
        except asyncio.CancelledError as cancelled:
            if self._kind is None or isinstance(cancelled, self._kind):
                raise
            raise self._kind(*self._args) from cancelled  # which replaced ours
        except BaseExceptionGroup as group:
            # Before Python 3.13, a task group handles it like an error of its tasks.
            # A lambda, because Python 3.12 does not accept a bound method.
            if self._kind is None or group.subgroup(lambda one: self._is_another(one)):  # noqa: PLW0108
                raise
            told = None if self._raised is None else self._raised()  # kept alive by the group
            raise told or self._kind(*self._args) from None
        finally:
            self._is_over = True

    def _is_another(self, error: BaseException) -> bool:
        kinds = (BaseExceptionGroup, self._kind or BaseExceptionGroup)
        return not isinstance(error, kinds)

    def _told_instead_of(self, cancelled: asyncio.CancelledError) -> BaseException:
        told, self._told = self._told, None
        if told is None:
            return cancelled
        if self._task is not None:
            self._task.uncancel()
        self._kind, self._args, self._raised = type(told), told.args, ref(told)
        return told


def _as_cancellation(kind: type[BaseException]) -> type[BaseException]:
    # The same class for all code but asyncio and similar, which clean up when cancelled.
    found = _cancellations.get(kind)
    if found is None:
        found = _cancellations[kind] = _new_cancellation(kind)
    return found


def _new_cancellation(kind: type[BaseException]) -> type[BaseException]:
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind, asyncio.CancelledError), names)
