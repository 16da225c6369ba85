"""The model field for moments."""

from datetime import datetime
from typing import Any

from django.db import models

from mainspring.core import clock


class MomentField(models.BigIntegerField):  # type: ignore[type-arg] # not generic at run time
    """A datetime, stored as whole microseconds since 1970: exact, compact and fast to compare."""

    def from_db_value(self, value: int | None, *_args: Any) -> datetime | None:
        """Return the stored moment as a datetime."""
        return clock.to_optional_datetime(value)

    def to_python(self, value: Any) -> Any:
        """Return ``value``, a datetime or a number of microseconds, as a datetime."""
        return clock.to_datetime(value) if isinstance(value, int) else value

    def get_prep_value(self, value: Any) -> Any:
        """Return ``value``, a datetime or a number of microseconds, as microseconds."""
        return clock.to_moment(value) if isinstance(value, datetime) else value
