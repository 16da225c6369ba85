"""The arguments of one call among many."""

from collections.abc import Mapping, Sequence
from typing import Any

type Arguments = Sequence[Any] | Mapping[str, Any]
"""A list or tuple of arguments, or a mapping of keyword arguments."""


def as_arguments(call: Arguments) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return the arguments and keyword arguments of a call; raises ``TypeError`` for others."""
    if isinstance(call, list | tuple):
        return call, {}
    if isinstance(call, Mapping):
        return (), call
    raise TypeError(
        f"A call is a list or tuple of arguments, or a mapping of keyword arguments, not {call!r}. "
        f"For one argument each: [(x,) for x in …]."
    )
