"""Read the errors and workers of earlier attempts from a row's columns.

A damaged history never raises: an error that says so takes its place.
"""

from typing import Any, Final

from mainspring.core import codec
from mainspring.core.formats import decoded, shown
from mainspring.exceptions import ErrorsOmitted, Unreadable

OMITTED: Final = f"{ErrorsOmitted.__module__}.{ErrorsOmitted.__qualname__}"
"""The class path of the entry for omitted errors."""

_UNREADABLE: Final = f"{Unreadable.__module__}.{Unreadable.__qualname__}"
_SHORT: Final = 2
_COUNTS: Final = 3  # numbers in the entry for omitted errors


def stored_errors(stored: bytes | None) -> list[Any]:
    """Return the errors of a row: class path and text of each; if stored, also times and worker."""
    if stored is None:
        return []
    try:
        errors: Any = codec.decode(stored)
        if isinstance(errors, list) and all(map(_is_error, errors)):
            return errors
    except (ValueError, TypeError, RecursionError):
        pass
    text = f"{_UNREADABLE}: the errors of earlier attempts cannot be read: {shown(stored)}\n"
    return [[_UNREADABLE, text]]


def _is_error(found: Any) -> bool:
    path, text, *more = found
    if not (isinstance(path, str) and isinstance(text, str)):
        return False
    if not more:
        return len(found) == _SHORT and path != OMITTED
    began, ended, worker = more
    if path == OMITTED:
        return len([int(number) for number in worker.split(" ")]) == _COUNTS
    return all(type(moment) in (int, type(None)) for moment in (began, ended)) and isinstance(
        worker, str | None
    )


def stored_workers(stored: bytes | None) -> list[Any]:
    """Return the ids of the workers of a row's attempts; an empty list if they cannot be read.

    A number stands for the omitted ones.
    """
    if stored is None:
        return []
    try:
        workers: list[Any] = decoded(stored, "workers", list)
    except Unreadable:
        return []
    return workers if all(isinstance(one, str | int) for one in workers) else []
