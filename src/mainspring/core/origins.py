"""Record where and in which run of its module a task was declared, to tell reloads from clashes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import CO_OPTIMIZED, unwrap
from types import CodeType, FrameType
from typing import Any, Final

# Modules whose frames are between a declaration and us; never shown as its place.
_OURS: Final = frozenset({"mainspring", "dataclasses"})


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The place and the module run in which a task was declared."""

    place: str
    """File and line, for error messages."""
    namespace: dict[str, Any]
    """The globals of the module. A second import of the module has its own."""
    spec: object
    """The module's ``__spec__``: ``importlib.reload()`` makes a new one each time."""
    code: CodeType | None
    """The running code object of the module, a new one for each run and each statement at a prompt.
    None if a function declared the task later."""

    def is_same_run(self, other: "Origin") -> bool:
        """Return True if both were declared during, or after, one execution of the module."""
        return (
            self.namespace is other.namespace
            and self.spec is other.spec
            and (self.code is other.code or self.code is None or other.code is None)
        )


def origin_of(func: Callable[..., Any]) -> Origin:
    """Return the origin of a task declared from ``func``, found in the caller's frames."""
    # A function made with functools.wraps() has the globals of the decorator's module.
    innermost: Any = unwrap(func)
    namespace = getattr(innermost, "__globals__", {})
    body = outside = None
    for frame in _frames():
        if outside is None and frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            outside = frame
        if frame.f_globals is namespace and _is_module_body(frame):
            body = frame
            break
    place = _place(body or outside)
    return Origin(place, namespace, namespace.get("__spec__"), body.f_code if body else None)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_module_body(frame: FrameType) -> bool:
    # "<module>", or the name of a notebook's cell. A class body is not optimized either.
    return not frame.f_code.co_flags & CO_OPTIMIZED and frame.f_code.co_name.startswith("<")


def _place(frame: FrameType | None) -> str:
    return "an unknown place" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
