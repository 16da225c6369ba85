"""What `mainspring bench map` calls, as plain functions: for those that know no tasks."""

import time


def no_op(number: int) -> None:
    """Do nothing."""


def same(number: int) -> int:
    """Return what it gets."""
    return number


def first(number: int, text: str, flag: bool, nothing: None) -> int:  # noqa: ARG001
    """Return one of the things that it gets."""
    return number


def echo(number: int, text: str, flag: bool, nothing: None) -> list[object]:
    """Return all that it gets."""
    return [number, text, flag, nothing]


def nap(seconds: float) -> None:
    """Take the given time."""
    time.sleep(seconds)
