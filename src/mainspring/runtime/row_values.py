"""What came of the calls of a row, in order: runs of values, and failures between them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from mainspring.core import codec
from mainspring.core.chunks import join_lists
from mainspring.core.dividing import note_of_failure
from mainspring.core.jobs import Outcome

_MEGABYTE: Final = 2**20


class Values(NamedTuple):
    """What some calls returned, one after the other."""

    offset: int
    number: int
    encoded: bytes | None
    """A JSON list; None where all are null."""

    @property
    def stored(self) -> bytes:
        """What a row stores of them: the list, or how many nulls there are."""
        return self.encoded or b"%d" % self.number

    @property
    def line(self) -> bytes:
        """What is written down of them; a JSON list in any case."""
        return self.encoded or b"[%b]" % b",".join([b"null"] * self.number)


class Failure(NamedTuple):
    """One call that failed, or is to be run again."""

    offset: int
    outcome: Outcome

    @property
    def line(self) -> bytes:
        """What is written down of it."""
        return note_of_failure(self.outcome)


type End = Values | Failure


def encode_values(
    values: list[Any], start: int, max_bytes: int, failed: Callable[[int, BaseException], Failure]
) -> list[End]:
    """Encode the return values of calls, the first of which is at offset ``start``.

    ``failed`` returns the failure of a call whose value is not JSON, or exceeds ``max_bytes``.
    """
    if not values:
        return []
    if values[0] is None and _are_null(values):
        return [Values(start, len(values), None)]
    body = codec.encode_plain_items(values)
    if body is not None and len(body) <= max_bytes:
        return [Values(start, len(values), body)]
    ends: list[End] = []
    for offset, value in enumerate(values, start):
        try:
            encoded = codec.encode_value(value, max_bytes)
        except BaseException as error:  # noqa: BLE001 # a value's own class may raise anything
            ends.append(failed(offset, error))
        else:
            ends.append(Values(offset, 1, None if encoded is None else b"[%b]" % encoded))
    return joined(ends, max_bytes)


def _are_null(values: list[Any]) -> bool:
    try:
        return values.count(None) == len(values)
    except BaseException:  # noqa: BLE001 # for example an array, which compares its elements
        return False


def joined(ends: Iterable[End], max_bytes: int) -> list[End]:
    """Return the outcomes, with consecutive return values merged up to a number of bytes.

    Larger values become several rows if they exceed a megabyte: a store accepts rows that are as
    large as the value of a single call may be.
    """
    most = max(max_bytes, _MEGABYTE)
    found: list[End] = []
    run: list[Values] = []
    size = 0
    for end in ends:
        if isinstance(end, Values):
            more = len(end.encoded or b"")
            if run and size + more > most:
                found += _one(run)
                run, size = [], 0
            run.append(end)
            size += more
            continue
        found += _one(run)
        run, size = [], 0
        found.append(end)
    return found + _one(run)


def _one(run: Sequence[Values]) -> list[End]:
    if len(run) <= 1:
        return list(run)
    encoded = None
    if any(values.encoded is not None for values in run):
        encoded = join_lists([values.line for values in run])
    return [Values(run[0].offset, sum(values.number for values in run), encoded)]
