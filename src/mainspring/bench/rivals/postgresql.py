"""The competitors on PostgreSQL, each with the settings that were found fastest."""

import json
from typing import Final

from mainspring.bench.rivals.competitors import Competitor, Variant
from mainspring.bench.rivals.pins import PINS

_ROW_KEPT: Final = "result in the task's row"
_OX_WORKER: Final = "python -m django ox_worker --processes 2 --interval 0.01 -v 0"
_DJANGO: Final = {"DJANGO_SETTINGS_MODULE": "bench_settings"}


def _twice(command: str) -> tuple[str, str]:
    return command, command


def _dj_queue(threads: int, prefetch: int) -> Variant:
    worker = {
        "queues": "*",
        "processes": 2,
        "threads": threads,
        "polling_interval": 0.1,
        "prefetch_multiplier": prefetch,
    }
    return Variant(
        f"processes 2, threads {threads}, prefetch_multiplier {prefetch}",
        ("python -m django dj_queue --skip-recurring",),
        {"MAINSPRING_BENCH_OPTIONS": json.dumps({"workers": [worker]})},
    )


OURS: Final = Competitor(
    name="mainspring",
    engine="postgresql",
    adapter="ours_app.py",
    keeps=_ROW_KEPT,
    variants=(Variant("--processes 2", ("python -m django mainspring worker --processes 2",)),),
    environment={"DJANGO_SETTINGS_MODULE": "mainspring.bench.rivals.settings"},
)

POSTGRESQL: Final = (
    OURS,
    Competitor(
        name="django-tasks-db",
        engine="postgresql",
        adapter="django_tasks_db_app.py",
        keeps=_ROW_KEPT,
        packages=PINS["django-tasks-db"],
        environment=_DJANGO,
        most_jobs=5_000,
        variants=(
            Variant(
                "two db_worker --interval 0.01 (default 1)",
                _twice("python -m django db_worker --interval 0.01 --no-startup-delay -v 0"),
            ),
        ),
    ),
    Competitor(
        name="django-ox",
        engine="postgresql",
        adapter="django_ox_app.py",
        keeps=_ROW_KEPT,
        packages=PINS["django-ox"],
        environment=_DJANGO,
        most_jobs=10_000,
        variants=tuple(
            Variant(
                f"--processes 2 --concurrency {concurrency} --interval 0.01 (default 1)",
                (f"{_OX_WORKER} --concurrency {concurrency}",),
            )
            for concurrency in (1, 4)
        ),
    ),
    Competitor(
        name="dj-queue",
        engine="postgresql",
        adapter="dj_queue_app.py",
        keeps=_ROW_KEPT,
        packages=PINS["dj-queue"],
        environment=_DJANGO,
        most_jobs=10_000,
        variants=(_dj_queue(3, 2), _dj_queue(1, 50)),
    ),
    Competitor(
        name="django-vtasks",
        engine="postgresql",
        adapter="django_vtasks_app.py",
        keeps="nothing: the row is deleted",
        packages=PINS["django-vtasks"],
        environment=_DJANGO,
        most_jobs=10_000,
        variants=tuple(
            Variant(
                f"two runworker --concurrency 20, {kind}",
                (
                    "python -m django runworker --concurrency 20 --id first",
                    "python -m django runworker --concurrency 20 --id second",
                ),
                environment,
            )
            for kind, environment in (
                ("function", {}),
                ("coroutine", {"MAINSPRING_BENCH_ASYNC": "1"}),
            )
        ),
    ),
    Competitor(
        name="procrastinate",
        engine="postgresql",
        adapter="procrastinate_app.py",
        keeps="the job's row, no return value",
        packages=PINS["procrastinate"],
        most_jobs=5_000,
        variants=tuple(
            Variant(
                f"two workers, --concurrency {concurrency}, coroutine",
                _twice(
                    "procrastinate --log-level warning --app procrastinate_app.app "
                    f"worker --concurrency {concurrency}"
                ),
            )
            for concurrency in (1, 10)
        ),
    ),
    Competitor(
        name="pgqueuer",
        engine="postgresql",
        adapter="pgqueuer_app.py",
        keeps="a row in its log, no return value",
        packages=PINS["pgqueuer"],
        variants=tuple(
            Variant(
                f"2 processes, batch_size {size}, coroutine, asyncpg, uvloop",
                _twice(f"python {{adapter}} {size}"),
            )
            for size in (10, 100, 500)
        ),
    ),
    Competitor(
        name="oban",
        engine="postgresql",
        adapter="oban_app.py",
        keeps="the job's row, no return value",
        packages=PINS["oban"],
        most_jobs=10_000,
        variants=tuple(
            Variant(
                f"2 processes, queue limit {limit}, coroutine, uvloop",
                _twice(f"python {{adapter}} {limit}"),
            )
            for limit in (10, 100)
        ),
    ),
)
"""Mainspring first, then its rivals."""
