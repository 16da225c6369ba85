"""The no-op task that Mainspring runs beside its rivals: as theirs, it counts itself."""

from mainspring.bench.rivals.adapters.bench_page import note
from mainspring.core.tasks import task


@task
def no_op(number: int, stamp: int) -> None:
    """Count the call; if ``stamp`` is not 0, tell how long it is past that time."""
    note(number, stamp)
