"""One measurement of `mainspring bench map`: a process that maps and reads what came of it.

Prints how long it took, or how much memory, as JSON.
"""

import json
import pickle
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import django

if TYPE_CHECKING:
    from mainspring.core.tasks import Task

_WARM_UP: Final = 20_000  # calls, so that all workers have imported the task
_READY: Final = 60.0  # seconds that workers have to start


def _no_ops(calls: int) -> dict[str, float]:
    from mainspring.bench.map_tasks import no_op

    began = time.perf_counter()
    handle = no_op.map(range(calls))
    deque(handle.values(), maxlen=0)
    seconds = time.perf_counter() - began
    _expect(handle.progress[:4], (calls, calls, calls, 0))
    return {"seconds": seconds}


def _first(calls: int) -> dict[str, float]:
    from mainspring.bench.map_tasks import first

    return _starmapped(first, calls, calls - 1)


def _echo(calls: int) -> dict[str, float]:
    from mainspring.bench.map_items import TEXT
    from mainspring.bench.map_tasks import echo

    return _starmapped(echo, calls, [calls - 1, TEXT, True, None])


def _starmapped(task: "Task[..., Any]", calls: int, last: object) -> dict[str, float]:
    from mainspring.bench.map_items import rows

    began = time.perf_counter()
    handle = task.starmap(rows(calls))
    (found,) = deque(handle.values(), maxlen=1)
    seconds = time.perf_counter() - began
    _expect(found, last)
    _expect(handle.progress[:4], (calls, calls, calls, 0))
    return {"seconds": seconds}


def _reduced(calls: int) -> dict[str, float]:
    from mainspring.bench.map_tasks import add, same

    began = time.perf_counter()
    handle = same.map(range(calls), reduce=add).wait()
    value = handle.result.return_value
    seconds = time.perf_counter() - began
    _expect(value, sum(range(calls)))
    return {"seconds": seconds}


def _uneven(calls: int) -> dict[str, float]:
    from mainspring.bench.map_items import naps
    from mainspring.bench.map_tasks import nap

    items = naps(calls)
    began = time.perf_counter()
    deque(nap.map(items).values(), maxlen=0)
    return {"seconds": time.perf_counter() - began}


def _handle(calls: int) -> dict[str, float]:
    from mainspring.bench.map_tasks import same

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    handle = same.map(range(calls)).wait()
    unlooked = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    looked_at = sum(result.return_value for result in handle)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    _expect(looked_at, sum(range(calls)))
    return {"pickled": len(pickle.dumps(handle)), "unlooked": unlooked, "looked_at": peak}


_KINDS: Final[dict[str, Callable[[int], dict[str, float]]]] = {
    "no_ops": _no_ops,
    "first": _first,
    "echo": _echo,
    "reduced": _reduced,
    "uneven": _uneven,
    "handle": _handle,
}


def _await_workers(number: int) -> None:
    from mainspring.backends.base import mainspring_backend
    from mainspring.bench.map_tasks import echo, first, nap, no_op, same

    storage, end = mainspring_backend("default").storage, time.monotonic() + _READY
    same.map([0]).wait(_READY)  # in memory, this starts them
    while len(storage.stats().workers) < number:
        if time.monotonic() > end:
            raise AssertionError(f"{number} workers were not ready after {_READY:.0f} s")
        time.sleep(0.01)
    same.map(range(_WARM_UP)).wait(_READY)
    no_op.map(range(_WARM_UP)).wait(_READY)
    for task in (first, echo):
        task.starmap([[0, "", True, None]] * _WARM_UP).wait(_READY)
    nap.map([0.0] * number).wait(_READY)


def _empty() -> None:
    # And have the log of writes behind it.
    from django.db import connection

    from mainspring.backends.base import mainspring_backend
    from mainspring.bench.engines import query

    if not mainspring_backend("default").supports_worker:  # in memory
        return
    is_sqlite = connection.vendor == "sqlite"
    for table in ("mainspring_job", "mainspring_map"):
        query(f"{'DELETE FROM' if is_sqlite else 'TRUNCATE TABLE'} {table}")
    if is_sqlite:
        query("PRAGMA wal_checkpoint(TRUNCATE)")
    elif connection.vendor == "postgresql":
        query("CHECKPOINT")


def _expect(found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def main(kind: str, calls: int, processes: int) -> None:
    """Wait until so many workers are ready, measure, and print the figures."""
    django.setup()
    _await_workers(processes)
    _empty()
    figures = _KINDS[kind](calls)
    print(json.dumps(figures))  # noqa: T201
    _empty()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
