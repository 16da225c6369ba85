"""Isolate the context of a task that runs in its caller's thread."""

from collections.abc import Callable
from contextvars import copy_context
from decimal import getcontext, setcontext
from typing import Any

from mainspring.core.harmless import is_harmless
from mainspring.core.tasks import Task


def caller_of(task: Task[..., Any]) -> Callable[..., Any]:
    """Return a callable that calls a function in a new copy of the current context.

    The copy has its own decimal context, which plain copies of a context share. If ``task`` is
    proven not to change the context, the current context is used.
    """
    if type(task).call is Task.call and is_harmless(task.func):
        return _call
    context = copy_context()
    context.run(setcontext, getcontext().copy())
    return context.run


def _call[**P, R](func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return func(*args, **kwargs)
