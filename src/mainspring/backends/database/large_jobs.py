"""Read large jobs after the claim, up to a bound in bytes.

The claim itself leaves out values longer than 128 KiB. A worker has learned from earlier jobs how
many to claim, and those may have been small.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mainspring.core.jobs import Job

if TYPE_CHECKING:
    from mainspring.backends.database.vendors.base import Dialect

_arguments: Final = itemgetter(Job._fields.index("arguments"))


class Read(NamedTuple):
    """Claimed jobs, read up to the bound."""

    jobs: list[Job]
    surplus: list[Job]
    """The jobs to release."""


def has_large(jobs: Sequence[Job]) -> bool:
    """Return True if the claim has left out the arguments of any job."""
    return None in map(_arguments, jobs)


def read(dialect: "Dialect", cursor: Any, jobs: Sequence[Job], most: int) -> Read:
    """Return the first jobs, up to ``most`` bytes in total but at least one job, and the surplus.

    Their arguments and metadata are complete. Jobs that are gone meanwhile are left out.
    """
    large = [job.id for job in jobs if _is_large(job)]
    sizes: dict[str, int] = dict(_rows(dialect, cursor, "large_sizes", large))
    chosen, left = list[Job](), most
    for number, job in enumerate(jobs):
        left -= sizes.get(job.id, 0) if _is_large(job) else len(job.arguments)
        if left < 0 and number:
            break
        chosen.append(job)
    wanted = [job.id for job in chosen if _is_large(job)]
    values = {row[0]: row[1:] for row in _rows(dialect, cursor, "large_values", wanted)}
    whole = [
        job._replace(arguments=bytes(values[job.id][0]), metadata=values[job.id][1])
        if job.id in values
        else job
        for job in chosen
        if job.id in values or not _is_large(job)
    ]
    return Read(whole, list(jobs[len(chosen) :]))


def _is_large(job: Job) -> bool:
    arguments: bytes | None = job.arguments
    return arguments is None


def _rows(dialect: "Dialect", cursor: Any, name: str, ids: Sequence[str]) -> Sequence[Any]:
    if not ids:
        return ()
    cursor.execute(dialect.sql(name), (dialect.found_ids(ids),))
    rows: Sequence[Any] = cursor.fetchall()
    return rows
