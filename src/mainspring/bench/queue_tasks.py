"""The tasks that the benchmarks of the queues enqueue."""

import os

from mainspring.core.tasks import task


@task
def no_op(a: int, b: object) -> None:
    """Do nothing."""


@task
def note(path: str, number: int) -> None:
    """Append ``number`` to the file at ``path``, in one system call."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, number.to_bytes(4, "little"))
    finally:
        os.close(descriptor)
