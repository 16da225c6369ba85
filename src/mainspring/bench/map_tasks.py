"""The tasks that `mainspring bench map` maps: with the bodies of the plain functions."""

import time

from mainspring.core.tasks import task


@task
def no_op(number: int) -> None:
    """Do nothing."""


@task
def same(number: int) -> int:
    """Return what it gets."""
    return number


@task
def first(number: int, text: str, flag: bool, nothing: None) -> int:  # noqa: ARG001
    """Return one of the things that it gets."""
    return number


@task
def echo(number: int, text: str, flag: bool, nothing: None) -> list[object]:
    """Return all that it gets."""
    return [number, text, flag, nothing]


@task
def nap(seconds: float) -> None:
    """Take the given time."""
    time.sleep(seconds)


@task
def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other
