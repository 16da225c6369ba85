"""The tasks that the benchmark enqueues."""

from mainspring import Limit, task


@task
def no_op(number: int) -> None:
    """Do nothing."""


@task(concurrency=Limit(1, key="{number}"))
def one_at_a_time(number: int) -> None:
    """Do nothing, one at a time for each number."""
