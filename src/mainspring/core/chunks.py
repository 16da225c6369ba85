"""Chunks: the rows of a map, each of which holds many calls of one task.

A map's calls are numbered. Its rows share them out without a gap: each holds the calls from its own
first one up to the first one of the next row. What happens to some calls of a row, and not to the
others, divides it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from mainspring.core import codec
from mainspring.core.columns import encode_columns, lists_of
from mainspring.core.formats import options_in, shown, unknown
from mainspring.core.ids import is_id, new_id
from mainspring.core.jobs import Job, Outcome, State
from mainspring.exceptions import Unreadable

MOST_CALLS: Final = 100_000_000_000
"""How many calls a map may have."""

_PREFIX: Final = 20  # of a map's id, with which the ids of its rows begin
_MAP: Final = "_map"
_MERGES: Final = "2"  # starts the rest of a merge's id
_ROWS: Final = "0"  # starts the rest of a row's id

# The form that call_id() writes: each call has exactly one id.
_is_index: Final = re.compile("0|[1-9][0-9]{0,10}").fullmatch

type Kind = Literal["items", "lists", "calls"]
"""What a row's arguments are: a list of single arguments, one of lists of arguments, or, in a row
of one call, the same as for any job."""

_KINDS: Final = ("items", "lists", "calls")
_ON_ERROR: Final = ("fail", "skip")
_FEWEST: Final = 2  # fields of a spec
_LISTS: Final = frozenset({list, tuple})

_decode_folded = msgspec.json.Decoder(list[msgspec.Raw]).decode
_arguments = msgspec.json.Decoder(tuple[msgspec.Raw, dict[str, Any]]).decode
_only_argument = msgspec.json.Decoder(tuple[tuple[msgspec.Raw], dict[str, Any]]).decode


class Spec(NamedTuple):
    """What each row of a map carries in its options."""

    map_id: str
    kind: Kind
    merge: str | None = None
    """The import path of the task that values are reduced with."""
    on_error: Literal["fail", "skip"] = "fail"
    """What a failed call means for the reduced value."""
    is_merge: bool = False
    """Whether the row is one of those that merge the values of others: its arguments are the ids
    of these."""

    @property
    def has_chunks(self) -> bool:
        """Whether its rows may have many calls each."""
        return self.kind != "calls" and not self.is_merge


_DEFAULTS: Final = tuple(Spec._field_defaults.values())


class Division(NamedTuple):
    """How a claimed row is divided: it keeps its first calls, and new rows take the others."""

    arguments: bytes
    """Those that the row keeps."""
    parts: Sequence[Job]
    """The new rows, RUNNING under the claim of the divided one."""
    outcomes: Sequence[Outcome]
    """What becomes of the parts, and of the row itself unless it runs on; under the same claim."""


class MapRecord(NamedTuple):
    """One map, as stored: moments in microseconds."""

    id: str
    backend: str
    task_path: str
    options: bytes
    """Those of its rows."""
    queue_name: str
    priority: int
    enqueued_at: int
    stored: int = 0
    """How many calls are stored so far."""
    is_closed: bool = False
    """Whether that is all."""
    follow_up: bytes | None = None
    """The task to be enqueued at the end, with the map's id: path, queue and priority as JSON."""
    level: int = 0
    """How far values are merged: the level of the merges that were enqueued last."""
    result_id: str | None = None
    """The job that has the reduced value, or will have."""
    finished_at: int | None = None

    @property
    def spec(self) -> Spec:
        """What its rows carry."""
        spec = spec_of(self.options)
        if spec is None:
            raise ValueError(f"Map {self.id} has no spec.")
        return spec


# Ids


def row_id(map_id: str, first: int) -> str:
    """Return the id of the row that begins with a call."""
    return f"{map_id[:_PREFIX]}{first:012d}"


def first_of(job_id: str) -> int:
    """Return the call that a row begins with."""
    return int(job_id[_PREFIX:])


def merge_id(map_id: str, level: int, number: int) -> str:
    """Return the id of a merge; 1 is the lowest level."""
    return f"{map_id[:_PREFIX]}{_MERGES}{level:02d}{number:09d}"


def is_merge(job_id: str) -> bool:
    """Whether a job of a map is one of its merges."""
    return job_id[_PREFIX] == _MERGES


def call_id(map_id: str, index: int) -> str:
    """Return the id under which users know one call."""
    return f"{map_id}:{index}"


def parse_call_id(result_id: str) -> tuple[str, int] | None:
    """Return a map's id and the number of the call; None for the id of no call of a map."""
    map_id, colon, index = result_id.partition(":")
    if not colon or not _is_index(index) or not is_id(map_id):
        return None
    return map_id, int(index)


def may_be_row_id(job_id: str) -> bool:
    """Return True if this may be the id of a row of a map; 1 in 3,000 other ids look the same."""
    return job_id[_PREFIX : _PREFIX + 1] == _ROWS and job_id[_PREFIX:].isdecimal()


def new_map_id(moment: int) -> str:
    """Return the id of a new map."""
    return new_id(moment)


# Options


def with_spec(options: bytes | None, spec: Spec) -> bytes:
    """Return a call's options with a spec added."""
    fields = {} if options is None else codec.decode(options)
    return codec.encode({**fields, _MAP: spec})


def spec_of(options: bytes | None) -> Spec | None:
    """Return the spec in a row's options; None if the job is not a row of a map.

    Raises :class:`~mainspring.exceptions.Unreadable`, and for rows of newer versions
    :class:`~mainspring.exceptions.NewerFormat`.
    """
    return None if options is None else _spec_in(options)


@lru_cache(maxsize=1024)
def _spec_in(options: bytes) -> Spec | None:
    found = options_in(options).get(_MAP)
    if found is None:
        return None
    if not isinstance(found, list) or len(found) < _FEWEST or not isinstance(found[0], str):
        raise Unreadable(f"The map in the options is invalid: {found!r:.99}")
    if len(found) > len(Spec._fields):
        raise unknown(f"A field of the map in {found!r:.99}")
    kind, merge, on_error, is_merge = (*found[1:], *_DEFAULTS[len(found) - _FEWEST :])
    if kind not in _KINDS or on_error not in _ON_ERROR:
        raise unknown(f"The kind of rows in {found!r:.99}")
    if not isinstance(is_merge, bool) or not isinstance(merge, str | None):
        raise Unreadable(f"The map in the options is invalid: {found!r:.99}")
    return Spec(found[0], kind, merge, on_error, is_merge)


@lru_cache(maxsize=1024)
def _without_spec(options: bytes) -> bytes | None:
    fields = codec.decode(options)
    del fields[_MAP]
    return codec.encode(fields) if fields else None


# What rows hold


def items_in(arguments: bytes) -> list[Any]:
    """Return the items of a row of any kind but "calls". Raises ``Unreadable``."""
    try:
        found: Any = codec.decode_many(arguments)
        items: Any = lists_of(**found) if isinstance(found, dict) else found
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable(f"The items cannot be read: {error}: {shown(arguments)}") from error
    if not isinstance(items, list):
        raise Unreadable(f"The items are not a list: {shown(arguments)}")
    listed: list[Any] = items
    return listed


def encode_items(items: list[Any], is_lists: bool, first: int, max_bytes: int) -> bytes:
    """Return items as a row's arguments.

    Raises ``TypeError`` or ``ValueError``, naming the item, where one is not JSON, and
    ``ValueError`` where the arguments of one are longer than ``max_bytes``.
    """
    body = _encode_lists(items) if is_lists else codec.encode_plain_items(items)
    if body is not None and len(body) <= max_bytes:
        return body
    encoded = []
    for index, item in enumerate(items, first):
        try:
            encoded.append(_encode_item(item, is_lists, max_bytes))
        except (TypeError, ValueError) as error:
            error.add_note(f"In item {index} (counted from 0) of the map.")
            raise
    return codec.encode(encoded)


def _encode_item(item: Any, is_lists: bool, max_bytes: int) -> msgspec.Raw:
    if not is_lists:
        return _only_argument(codec.encode_call((item,), {}, max_bytes))[0][0]
    if not isinstance(item, list | tuple):
        raise TypeError(f"An item of starmap() is a list or tuple of arguments, not {item!r}.")
    return _arguments(codec.encode_call(item, {}, max_bytes))[0]


def _encode_lists(items: list[Any]) -> bytes | None:
    body = encode_columns(items)
    if body is None and _LISTS.issuperset(map(type, items)):
        body = codec.encode_plain_items(items)
    return body


def join_lists(lists: Sequence[bytes]) -> bytes:
    """Return several JSON lists as one."""
    inner = b",".join(one[1:-1] for one in lists if len(one) > 2)
    return b"[%b]" % inner


def returned_by(spec: Spec, values: bytes, partial: bytes | None = None) -> bytes:
    """Return what a row stores of its values and of what these were reduced to.

    ``values`` are a JSON list, or, where all are null, their number. Without ``partial``, where
    they are to be reduced, whoever merges reduces them.
    """
    if spec.merge is None:
        return values
    return b"[%b]" % values if partial is None else b"[%b,%b]" % (values, partial)


def values_in(job: Job, spec: Spec, number: int) -> list[Any]:
    """Return the values of a row that has returned: of ``number`` calls, if it does not say."""
    returned = job.return_value
    if spec.kind == "calls":
        return [codec.decode_value(returned)]
    if returned is not None and spec.merge is not None:
        returned = bytes(_decode_folded(returned)[0])
    values = number if returned is None else codec.decode_many(returned)
    return [None] * values if isinstance(values, int) else values


def partials_in(job: Job, spec: Spec) -> list[Any]:
    """Return what a row or merge that has returned gives to be merged, in order."""
    returned = job.return_value
    if is_merge(job.id) or spec.kind == "calls" or returned is None:
        return [codec.decode_value(returned)]
    values, *partial = _decode_folded(returned)
    if partial:
        return [codec.decode(partial[0])]
    found: list[Any] | int = codec.decode_many(values)
    return [None] * found if isinstance(found, int) else found


def call_in(job: Job, spec: Spec, offset: int, items: list[Any], values: list[Any] | None) -> Job:
    """Return one call of a row as a job of its own, as users see it.

    ``items`` and ``values`` are the row's: see :func:`items_in` and :func:`values_in`.
    """
    index = first_of(job.id) + offset
    options = None if job.options is None else _without_spec(job.options)
    changes: dict[str, Any] = {"id": call_id(spec.map_id, index), "options": options}
    if spec.kind != "calls":
        item = items[offset]
        changes["arguments"] = codec.encode((item if spec.kind == "lists" else (item,), {}))
        changes["return_value"] = None
        if job.state == State.SUCCESSFUL and values is not None:
            value = values[offset]
            changes["return_value"] = None if value is None else codec.encode(value)
    return job._replace(**changes)


def as_seen(job: Job) -> Job:
    """Return a job as users see it: a row of a map as its first call.

    An unreadable row is returned unchanged, so that users still see it.
    """
    try:
        spec = spec_of(job.options)
        return job if spec is None else _first_call(job, spec)
    except (ValueError, TypeError, IndexError, KeyError, RecursionError):
        return job


def _first_call(job: Job, spec: Spec) -> Job:
    if spec.is_merge:
        return job._replace(options=None)
    items = [] if spec.kind == "calls" else items_in(job.arguments)
    values = values_in(job, spec, len(items)) if job.state == State.SUCCESSFUL else None
    return call_in(job, spec, 0, items, values)


def part_of(job: Job, first: int, arguments: bytes) -> Job:
    """Return a new row for some calls of a claimed row of a map; it keeps the row's claim."""
    return job._replace(
        id=f"{job.id[:_PREFIX]}{first:012d}",
        arguments=arguments,
        started_at=None,
        last_attempted_at=None,
        worker_ids=None,
        errors=None,
    )
