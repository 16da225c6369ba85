"""Where a task was declared, and in which run of its module: tells a reload from a clash."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import CO_OPTIMIZED, unwrap
from types import CodeType, FrameType
from typing import Any, Final

# Whose frames stand between a declaration and us: never the place that people look for.
_OURS: Final = frozenset({"mainspring", "dataclasses"})


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where and when the function of one task was declared."""

    place: str
    """File and line, for people."""
    namespace: dict[str, Any]
    """The globals of the module; those of a module that is imported again are others."""
    spec: object
    """The module's ``__spec__``: ``importlib.reload()`` makes a new one each time."""
    code: CodeType | None
    """The code of the module that was running; compiled or read again for each run, and for each
    statement at a prompt. None where the declaration came later, out of a function."""

    def is_same_run(self, other: "Origin") -> bool:
        """Return True if both were declared while the module was executed once, or after that."""
        return (
            self.namespace is other.namespace
            and self.spec is other.spec
            and (self.code is other.code or self.code is None or other.code is None)
        )


def origin_of(func: Callable[..., Any]) -> Origin:
    """Return the origin of a task that is being declared of ``func``, by the caller's frames."""
    # What functools.wraps() made has the globals of the decorator's module.
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
    # "<module>", or what a notebook calls its cells. A class body is not optimized either.
    return not frame.f_code.co_flags & CO_OPTIMIZED and frame.f_code.co_name.startswith("<")


def _place(frame: FrameType | None) -> str:
    return "an unknown place" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
