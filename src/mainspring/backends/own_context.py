"""Own contexts: a task that runs in its caller's thread sets nothing in the caller's context."""

from collections.abc import Callable
from contextvars import copy_context
from decimal import getcontext, setcontext
from typing import Any

from mainspring.core.harmless import is_harmless
from mainspring.core.tasks import Task


def caller_of(task: Task[..., Any]) -> Callable[..., Any]:
    """Return what calls a function with arguments in a new copy of the present context.

    With a decimal context of its own: a copy of a context shares that object. Where ``task``
    provably sets nothing, the present context will do.
    """
    if type(task).call is Task.call and is_harmless(task.func):
        return _call
    context = copy_context()
    context.run(setcontext, getcontext().copy())
    return context.run


def _call[**P, R](func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return func(*args, **kwargs)
