"""Has things left and looked for in one of the ways in which tasks run; tells what was seen."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import connection

from jobs.leftovers import THINGS, passed, visit, visit_async, visit_atomic, visit_merged
from mainspring.runtime.embedded import ensure_started

_LONG = 60
_LOOKS = 4
_BEFORE = 250


class Seen(NamedTuple):
    """What a look has seen before something was left, and what looks have seen after it."""

    before: Any
    after: list[Any]
    error: str
    """The class of what the leaving one raised."""


def _one_by_one(task: Any) -> Callable[[str], Seen]:
    def run(name: str) -> Seen:
        before = _returned(task.enqueue(f"look {name}"))
        left = _ended(task.enqueue(f"leave {name}"))
        looks = [task.enqueue(f"look {name}") for _ in range(_LOOKS)]
        return Seen(before, [_returned(look) for look in looks], _error(left))

    return run


def _together(name: str) -> Seen:
    # So that short atomic tasks share a transaction; with its end, failures are told and let go.
    if name == "the variables of a failed attempt":
        return _one_by_one(visit_atomic)(name)
    for what in ("look", "leave", "look"):
        _ended(visit_atomic.enqueue(f"{what} nothing"))
    calls = [(f"{what} {name}",) for what in ("look", "leave", "look", "look")]
    before, left, *looks = visit_atomic.enqueue_many(calls)
    return Seen(_returned(before), [_returned(one) for one in looks], _error(_ended(left)))


def _in_row(name: str) -> Seen:
    # The first rows of a map have few calls.
    items = [*["start"] * _BEFORE, f"look {name}", f"leave {name}", *[f"look {name}"] * _LOOKS]
    handle = visit.map(items)
    handle.wait(_LONG)
    before, left, *looks = list(handle)[_BEFORE:]
    return Seen(before.return_value, [one.return_value for one in looks], _error(left))


def _in_merge(name: str) -> Seen:
    # Each row has one value, so that a merge job has all of them.
    items = ["start", f"look {name}", f"leave {name}", f"look {name}"]
    handle = passed.map(
        [one for item in items for one in (item, "bad")], reduce=visit_merged, on_error="skip"
    )
    handle.wait(_LONG)
    before, _, after = handle.result.return_value
    return Seen(before, [after], "")


def _ended(result: Any) -> Any:
    return result if result.is_finished else result.wait(_LONG)


def _returned(result: Any) -> Any:
    ended = _ended(result)
    if ended.errors:
        raise AssertionError(ended.errors[-1].traceback)
    return ended.return_value


def _error(result: Any) -> str:
    return result.errors[-1].exception_class_path.rpartition(".")[2] if result.errors else ""


WAYS = {
    "plain": _one_by_one(visit),
    "row of a map": _in_row,
    "merge": _in_merge,
    "atomic": _together,
    "thread": _one_by_one(visit),
    "async": _one_by_one(visit_async),
    "embedded": _one_by_one(visit),
    "MemoryBackend": _one_by_one(visit.using(backend="memory")),
    "ImmediateBackend": _one_by_one(visit.using(backend="immediate")),
}


def tell(way: str) -> None:
    """Print what was seen of all things that are to be seen on this database."""
    seen = {}
    if way == "embedded":
        ensure_started("default")  # as the first request does
    for name, thing in THINGS.items():
        if not thing.databases or connection.vendor in thing.databases:
            seen[name] = WAYS[way](name)
            if way == "ImmediateBackend":
                _close()
    print("TOLD", json.dumps(seen))  # noqa: T201 # to the test


def _close() -> None:
    # What a task has left in this very thread.
    connection.in_atomic_block = False
    connection.savepoint_ids, connection.atomic_blocks = [], []
    if connection.connection is not None:
        connection.connection.rollback()
    connection.close()
