"""The competitors on Redis or Valkey, each with the settings that were found fastest."""

from typing import Final

from mainspring.bench.rivals.competitors import Competitor, Variant
from mainspring.bench.rivals.pins import PINS

_KEY: Final = "a key with the result"
_CELERY: Final = (
    "celery -A celery_app worker -l WARNING --without-gossip --without-mingle --without-heartbeat"
)
_THREADMILL: Final = "python -m django threadmill worker"
_CONCURRENCY: Final = "MAINSPRING_BENCH_CONCURRENCY"

REDIS: Final = (
    Competitor(
        name="celery",
        engine="redis",
        adapter="celery_app.py",
        keeps=_KEY,
        packages=PINS["celery"],
        most_jobs=15_000,
        variants=(
            Variant("prefork, -c 2, prefetch_multiplier 64", (f"{_CELERY} -P prefork -c 2",)),
            Variant(
                "two of threads, -c 8, prefetch_multiplier 64",
                tuple(f"{_CELERY} -P threads -c 8 -n {name}@bench" for name in ("a", "b")),
            ),
        ),
    ),
    Competitor(
        name="dramatiq",
        engine="redis",
        adapter="dramatiq_app.py",
        keeps=f"{_KEY} (its Results middleware)",
        packages=PINS["dramatiq"],
        variants=tuple(
            Variant(
                f"--processes 2 --threads {threads}",
                (f"dramatiq dramatiq_app --processes 2 --threads {threads}",),
            )
            for threads in (1, 8)
        ),
    ),
    Competitor(
        name="huey",
        engine="redis",
        adapter="huey_app.py",
        keeps="a field of a hash with the result (store_none)",
        packages=PINS["huey"],
        variants=(
            Variant("-k process -w 2", ("huey_consumer huey_app.huey -k process -w 2 -n -q",)),
        ),
    ),
    Competitor(
        name="rq",
        engine="redis",
        adapter="rq_app.py",
        keeps=_KEY,
        packages=PINS["rq"],
        most_jobs=5_000,
        variants=(
            Variant(
                "two rq worker, SimpleWorker: no process per task",
                ("rq worker -w rq.SimpleWorker --url {url} --logging_level WARNING",) * 2,
            ),
        ),
    ),
    Competitor(
        name="taskiq",
        engine="redis",
        adapter="taskiq_app.py",
        keeps=_KEY,
        packages=PINS["taskiq"],
        variants=(
            Variant(
                "--workers 2, ListQueueBroker, coroutine, uvloop",
                ("taskiq worker taskiq_app:broker --workers 2 --log-level WARNING",),
            ),
        ),
    ),
    Competitor(
        name="streaq",
        engine="redis",
        adapter="streaq_app.py",
        keeps=_KEY,
        packages=PINS["streaq"],
        variants=tuple(
            Variant(
                f"-w 2, concurrency {concurrency}, coroutine",
                ("streaq run -w 2 streaq_app:worker",),
                {_CONCURRENCY: str(concurrency)},
            )
            for concurrency in (16, 128)
        ),
    ),
    Competitor(
        name="ardiq",
        engine="redis",
        adapter="ardiq_app.py",
        keeps=_KEY,
        packages=PINS["ardiq"],
        variants=tuple(
            Variant(
                f"-w 2, concurrency {concurrency}, coroutine",
                ("ardiq run -q -w 2 ardiq_app:app",),
                {_CONCURRENCY: str(concurrency)},
            )
            for concurrency in (100, 500)
        ),
    ),
    Competitor(
        name="threadmill",
        engine="redis",
        adapter="threadmill_app.py",
        keeps=_KEY,
        packages=PINS["threadmill"],
        environment={"DJANGO_SETTINGS_MODULE": "bench_settings"},
        most_jobs=10_000,
        variants=tuple(
            Variant(f"-w 2 -t {threads}", (f"{_THREADMILL} -w 2 -t {threads}",))
            for threads in (1, 4)
        ),
    ),
)
"""Rivals only: Mainspring has no backend on Redis yet."""
