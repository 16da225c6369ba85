"""The tasks that the benchmark enqueues."""

from mainspring import Rate, task


@task
def no_op(number: int) -> None:
    """Do nothing."""


@task(rate=Rate(1, per=3600, key="{number}"))
def hourly(number: int) -> None:
    """Do nothing, once an hour for each number."""
