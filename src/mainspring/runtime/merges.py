"""Merges: reduces the values of some rows of a map to one."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from mainspring.core.chunks import partials_in, spec_of
from mainspring.core.jobs import Job


def merge_rows(
    get_results: Callable[[Sequence[str]], list[Job]], merge: Callable[[Any, Any], Any], *ids: str
) -> Any:
    """Return what the rows or merges of these ids were reduced to, reduced in their order.

    Raises ``LookupError`` where one was deleted, and what ``merge`` raises.
    """
    jobs = sorted(get_results(ids), key=lambda job: job.id)
    if len(jobs) != len(ids):
        raise LookupError(f"{len(ids) - len(jobs)} of {len(ids)} rows of the map were deleted.")
    values: list[Any] = []
    for job in jobs:
        if (spec := spec_of(job.options)) is None:
            raise LookupError(f"Job {job.id} is no row of a map.")
        values += partials_in(job, spec)
    return reduce(merge, values)
