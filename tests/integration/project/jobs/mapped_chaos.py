"""Tasks of the chaos tests of maps: many calls, which are short."""

from mainspring import task

_TURNS = range(200)  # about 10 µs


@task
def busy(number: int) -> int:
    """Take a moment; return what it gets."""
    for _ in _TURNS:
        pass
    return number


@task
def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other
