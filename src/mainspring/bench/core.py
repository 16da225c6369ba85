"""`mainspring bench core`: the core types and ImmediateBackend, beside Django's own."""

import argparse
import gc
import pickle
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import django
from django.conf import settings
from rich.console import Console

from mainspring.bench.report import Row, print_table, seconds_per_call, side_by_side, write_json

_HELD = 100_000

_TASKS = {
    "default": {"BACKEND": "mainspring.backends.immediate.ImmediateBackend"},
    "django": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"},
}


def main(argv: list[str]) -> int:
    """Run the benchmark and print its table; see ``mainspring bench core --help``."""
    options = _parser().parse_args(argv)
    settings.configure(TASKS=_TASKS, DEBUG=False)
    django.setup()
    rows = measure(options.rounds)
    print_table("mainspring bench core", "Django's", rows, Console())
    if options.json:
        write_json(options.json, "core", rows)
    return int(options.check and not all(row.is_met for row in rows))


def measure(rounds: int) -> list[Row]:
    """Return all figures: each time the median of ``rounds``; sizes, which do not vary, of one."""
    return [*_measure_results(rounds), *_measure_tasks(rounds)]


def _measure_results(rounds: int) -> list[Row]:
    from mainspring.bench.no_ops import djangos, ours

    mine, theirs = _enqueue_ours(ours, 1), _enqueue_djangos(djangos, 1)
    construct_theirs = _construct_djangos(theirs)
    return [
        _timed(
            "TaskResult: construct",
            _construct_ours(mine),
            construct_theirs,
            rounds,
            20_000,
            1 / 5,
        ),
        _timed(
            "… and check its arguments",
            _construct_ours(mine, checked=True),
            construct_theirs,  # which always does
            rounds,
            20_000,
            None,
        ),
        Row(
            "held for each of 100,000",
            _held_for_each(lambda i: _enqueue_ours(ours, i)),
            _held_for_each(lambda i: _enqueue_djangos(djangos, i)),
            "B",
            2 / 3,
        ),
        Row("pickled", len(pickle.dumps(mine)), len(pickle.dumps(theirs)), "B", 2 / 3),
        _timed(
            "pickle and unpickle",
            lambda: pickle.loads(pickle.dumps(mine)),  # noqa: S301 # its own dump
            lambda: pickle.loads(pickle.dumps(theirs)),  # noqa: S301 # its own dump
            rounds,
            3_000,
            1 / 2,
        ),
    ]


def _measure_tasks(rounds: int) -> list[Row]:
    from mainspring.bench.no_ops import djangos, ours

    return [
        Row(
            "ImmediateBackend: enqueue",
            *side_by_side(
                lambda: 1 / seconds_per_call(lambda: ours.enqueue(1, 2), 10_000),
                lambda: 1 / seconds_per_call(lambda: djangos.enqueue(1, 2), 2_000),
                rounds,
            ),
            "/s",
            6,
            more_is_better=True,
        ),
        _timed(
            "Task: read 10 attributes",
            lambda: _read_ten(ours),
            lambda: _read_ten(djangos),
            rounds,
            100_000,
            1.05,  # no slower: the same slots, and 5 % of noise
        ),
    ]


def _timed(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    number: int,
    limit: float | None,
) -> Row:
    medians = side_by_side(
        lambda: seconds_per_call(ours, number) * 1e6,
        lambda: seconds_per_call(theirs, number) * 1e6,
        rounds,
    )
    return Row(name, *medians, "µs", limit)


def _construct_ours(like: Any, checked: bool = False) -> Callable[[], object]:
    from mainspring.core.codec import encode_call
    from mainspring.core.results import TaskResult

    id_, status, enqueued_at, backend = like.id, like.status, like.enqueued_at, like.backend
    task_path, queue_name, priority = like.task_path, like.queue_name, like.priority

    def construct(arguments: bytes) -> object:
        return TaskResult(
            id=id_,
            status=status,
            task_path=task_path,
            queue_name=queue_name,
            priority=priority,
            run_after=None,
            backend=backend,
            enqueued_at=enqueued_at,
            arguments=arguments,
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
        )

    if checked:
        return lambda: construct(encode_call((1,), {"b": 2}, 1000))
    return partial(construct, like.arguments)


def _construct_djangos(like: Any) -> Callable[[], object]:
    from django.tasks import TaskResult

    id_, status, enqueued_at, backend = like.id, like.status, like.enqueued_at, like.backend
    task = like.task
    return lambda: TaskResult(
        task=task,
        id=id_,
        status=status,
        enqueued_at=enqueued_at,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=[1],
        kwargs={"b": 2},
        backend=backend,
        errors=[],
        worker_ids=[],
    )


def _enqueue_ours(task: Any, a: int) -> Any:
    # What enqueueing returns on a backend that stores elsewhere, and so keeps nothing itself.
    from mainspring.core.results import TaskResult

    return TaskResult.from_job(task.get_backend().new_job(task, (a,), {"b": a + 1}))


def _enqueue_djangos(task: Any, a: int) -> Any:
    # As Django's DummyBackend.enqueue() makes it.
    from django.tasks import TaskResult, TaskResultStatus
    from django.utils import timezone
    from django.utils.crypto import get_random_string

    return TaskResult(
        task=task,
        id=get_random_string(32),
        status=TaskResultStatus.READY,
        enqueued_at=timezone.now(),
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=[a],
        kwargs={"b": a + 1},
        backend=task.backend,
        errors=[],
        worker_ids=[],
    )


def _held_for_each(enqueue: Callable[[int], object]) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        results: list[object] = [None] * _HELD
        before, _ = tracemalloc.get_traced_memory()
        for i in range(_HELD):
            results[i] = enqueue(i)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / len(results)


def _read_ten(task: Any) -> None:
    task.priority, task.queue_name, task.backend, task.run_after, task.func  # noqa: B018
    task.priority, task.queue_name, task.backend, task.run_after, task.func  # noqa: B018


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mainspring bench core", description="The core types, beside Django's own."
    )
    parser.add_argument(
        "--rounds", type=_positive, default=9, help="how often to measure each (default: 9)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, too")
    parser.add_argument(
        "--check", action="store_true", help="exit with status 1 if a limit is not kept"
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
