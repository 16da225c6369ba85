"""The bounded history of a call: the errors and the workers of its attempts.

A long history keeps the first and the last entries, and the number of those between. Otherwise a
call that is retried for weeks would grow until no store accepts it.
"""

from collections.abc import Sequence
from typing import Any, Final

from mainspring.core import codec
from mainspring.core.stored_history import OMITTED, stored_errors, stored_workers
from mainspring.exceptions import OutcomeLost, WorkerLost, WorkerStopped

__all__ = ["OMITTED"]

FIRST: Final = 8
"""Number of first errors and workers to keep."""
LAST: Final = 24
"""Number of last errors and workers to keep."""
MOST_BYTES: Final = 512 * 1024
"""Maximum size of all errors but the newest, in bytes of JSON."""

_WORKER_LOST: Final = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"

# Errors of attempts that did not fail because of the task.
_NO_FAILURES: Final = frozenset(
    f"{kind.__module__}.{kind.__qualname__}" for kind in (WorkerLost, OutcomeLost, WorkerStopped)
)

type _Entry = Sequence[Any]
"""A stored error: path and text; long form: also start, end and worker."""


def with_error(stored: bytes | None, entry: _Entry) -> bytes:
    """Return the stored errors with one more appended."""
    entries = [*stored_errors(stored), entry]
    encoded = codec.encode(entries)
    if len(entries) <= FIRST + LAST and len(encoded) <= MOST_BYTES:
        return encoded
    return codec.encode(_shortened(entries))


def with_worker(stored: bytes, worker_id: str) -> bytes:
    """Return the stored workers of earlier attempts with one more appended."""
    workers = [*stored_workers(stored), worker_id]
    if len(workers) <= FIRST + LAST:
        return codec.encode(workers)
    omitted = sum(one for one in workers if isinstance(one, int))
    names = [one for one in workers if isinstance(one, str)]
    omitted += len(names) - FIRST - LAST
    return codec.encode([*names[:FIRST], omitted, *names[-LAST:]] if omitted else names)


def attempts_in(workers: Sequence[str | int]) -> int:
    """Return the number of attempts that the workers in a result stand for."""
    if len(workers) <= FIRST + LAST:
        return len(workers)
    return sum(one if isinstance(one, int) else 1 for one in workers)


def workers_in(workers: Sequence[str | int]) -> list[str]:
    """Return the workers in a result, without the entry for the omitted ones."""
    return [one for one in workers if isinstance(one, str)]


def failures_in(stored: bytes | None) -> int:
    """Return the number of attempts that failed because of the task itself."""
    return sum(_counts(entry)[0] for entry in stored_errors(stored))


def crashes_in(stored: bytes | None) -> int:
    """Return the number of workers that died while they ran the call."""
    return sum(_counts(entry)[1] for entry in stored_errors(stored))


def _counts(entry: _Entry) -> tuple[int, int, int]:
    # The numbers of failures, crashes and other errors that an entry stands for.
    path = entry[0]
    if path == OMITTED:
        failures, crashes, others = map(int, entry[4].split(" "))
        return failures, crashes, others
    if path == _WORKER_LOST:
        return 0, 1, 0
    return (0, 0, 1) if path in _NO_FAILURES else (1, 0, 0)


def _shortened(entries: list[_Entry]) -> list[_Entry]:
    first, between, last = _parted(entries)
    while last[1:] and len(last) > LAST:
        between.append(last.pop(0))
    size = sum(len(codec.encode(entry)) for entry in (*first, *last[:-1]))
    while size > MOST_BYTES and (first or last[1:]):
        dropped = last.pop(0) if last[1:] else first.pop()
        size -= len(codec.encode(dropped))
        between.append(dropped)
    return [*first, _omission(between), *last] if between else [*first, *last]


def _parted(entries: list[_Entry]) -> tuple[list[_Entry], list[_Entry], list[_Entry]]:
    # The first entries, the entry for the omitted ones, if any, and the last entries.
    for place, entry in enumerate(entries):
        if entry[0] == OMITTED:
            return entries[:place], [entry], entries[place + 1 :]
    first = min(FIRST, len(entries) - 1)  # the newest is always one of the last
    return entries[:first], [], entries[first:]


def _omission(dropped: Sequence[_Entry]) -> _Entry:
    failures, crashes, others = (
        sum(numbers) for numbers in zip(*map(_counts, dropped), strict=True)
    )
    number = failures + crashes + others
    errors = "error is" if number == 1 else "errors are"
    text = f"{OMITTED}: {number:,} {errors} left out here\n"
    moments = [moment for entry in dropped for moment in entry[2:4] if moment is not None]
    began, ended = min(moments, default=None), max(moments, default=None)
    return OMITTED, text, began, ended, f"{failures} {crashes} {others}"
