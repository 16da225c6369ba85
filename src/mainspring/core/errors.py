"""TaskError: one error of one attempt, and how it is stored."""

from collections.abc import Sequence
from datetime import datetime
from inspect import isclass
from typing import Any, Final, NamedTuple

from django.utils.module_loading import import_string

from mainspring.core import clock
from mainspring.core.history import OMITTED
from mainspring.core.stored_history import stored_errors

_WITHOUT_TIMES: Final = 2  # fields


class TaskError(NamedTuple):
    """One error of one attempt, in Django's form."""

    exception_class_path: str
    traceback: str
    started_at: datetime | None = None
    """When the attempt began that ended so."""
    finished_at: datetime | None = None
    worker_id: str | None = None

    @property
    def exception_class(self) -> type[BaseException]:
        """The class of the exception, imported at this moment.

        Raises ``ImportError`` if it is gone and ``ValueError`` if the path names something else.
        """
        found = import_string(self.exception_class_path)
        if not isclass(found) or not issubclass(found, BaseException):
            raise ValueError(f"{self.exception_class_path!r} does not reference a valid exception.")
        return found


def errors_in(stored: bytes) -> tuple[TaskError, ...]:
    """Return the errors of a stored job."""
    return tuple(unpacked(error) for error in stored_errors(stored))


def packed(error: TaskError) -> tuple[Any, ...]:
    """Return an error as plain texts and numbers."""
    if error.started_at is None and error.finished_at is None and error.worker_id is None:
        return tuple(error[:2])
    optional = clock.to_optional_moment
    return (*error[:2], optional(error.started_at), optional(error.finished_at), error.worker_id)


def unpacked(fields: Sequence[Any]) -> TaskError:
    """Return the error that :func:`packed` turned into ``fields``."""
    if len(fields) == _WITHOUT_TIMES:
        return TaskError(*fields)
    path, text, started_at, finished_at, worker_id = fields
    if path == OMITTED:  # the field has the counts
        worker_id = None
    optional = clock.to_optional_datetime
    return TaskError(path, text, optional(started_at), optional(finished_at), worker_id)
