"""Measures maps on one engine: workers, and a producer, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

from mainspring.bench.engines import Engine
from mainspring.bench.map_items import ideal_seconds, naps
from mainspring.bench.map_memory import PeakMemory

_MODULE: Final = "mainspring.bench.map_producer"


class Sizes(NamedTuple):
    """How many calls are measured."""

    no_ops: int
    returned: int
    handle: int
    uneven: int


class Measured(NamedTuple):
    """One run of the no-op calls."""

    rate: float
    """Calls a second, from the start of ``map()`` to the last value."""
    producer: float
    """Megabytes at its peak."""
    worker: float
    """Of the largest one."""


class MapBench:
    """What is measured on one engine, whose database has the tables already."""

    share = 0.5
    """How much of what Pool.map does it is to do at least."""
    least: int | None = 3_000_000
    """How many no-op calls a second it is to do at least."""

    def __init__(self, name: str, engine: Engine, sizes: Sizes) -> None:
        self.name = name
        self._sizes = sizes
        self._environment = {
            **os.environ,
            "MAINSPRING_BENCH_DATABASE": json.dumps(engine.database),
            "DJANGO_SETTINGS_MODULE": "mainspring.bench.settings",
        }

    def migrate(self) -> None:
        """Make the tables."""
        self._finish(self._start("django", "migrate", "--verbosity=0"))

    def no_ops(self, processes: int) -> Measured:
        """Map the no-op task over whole numbers, and read all values."""
        import psutil

        with self._workers(processes) as workers:
            producer = self._producer("no_ops", self._sizes.no_ops, processes)
            itself = psutil.Process(producer.pid)
            parent = itself if workers is None else psutil.Process(workers.pid)
            children = partial(parent.children, recursive=True)
            with PeakMemory(lambda: [itself]) as own, PeakMemory(children) as theirs:
                seconds = self._figures(producer)["seconds"]
        return Measured(self._sizes.no_ops / seconds, own.bytes / 1e6, theirs.bytes / 1e6)

    def returned(self, kind: str, processes: int) -> float:
        """Map over lists of arguments; return how many calls a second.

        ``kind``: the task, "first" or "echo".
        """
        calls = self._sizes.returned
        return calls / self._measure(kind, calls, processes)["seconds"]

    def reduced(self, processes: int) -> float:
        """Map and sum up; return how many calls a second."""
        calls = self._sizes.no_ops
        return calls / self._measure("reduced", calls, processes)["seconds"]

    def uneven(self, processes: int) -> float:
        """Return how much longer calls of uneven length take than their ideal split, in percent."""
        calls = self._sizes.uneven
        seconds = self._measure("uneven", calls, processes)["seconds"]
        return (seconds / ideal_seconds(naps(calls), processes) - 1) * 100

    def handle(self, processes: int) -> Mapping[str, float]:
        """Return the bytes that a handle takes: pickled, in memory, and while it is iterated."""
        return self._measure("handle", self._sizes.handle, processes)

    def _measure(self, kind: str, calls: int, processes: int) -> dict[str, float]:
        with self._workers(processes):
            return self._figures(self._producer(kind, calls, processes))

    @contextmanager
    def _workers(self, processes: int) -> Iterator["subprocess.Popen[str] | None"]:
        worker = self._start("django", "mainspring", "worker", f"--processes={processes}")
        try:
            yield worker
        finally:
            worker.terminate()
            worker.communicate()

    def _producer(self, kind: str, calls: int, processes: int) -> "subprocess.Popen[str]":
        return self._start(_MODULE, kind, str(calls), str(processes))

    def _figures(self, producer: "subprocess.Popen[str]") -> dict[str, float]:
        figures: dict[str, float] = json.loads(self._finish(producer))
        return figures

    def _start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", *words],
            text=True,
            env=self._environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "worker" in words else subprocess.PIPE,
        )

    def _finish(self, process: "subprocess.Popen[str]") -> str:
        printed, errors = process.communicate()
        if process.returncode:
            raise AssertionError(f"{self.name}: {errors}")
        return printed


class MemoryMapBench(MapBench):
    """The same in memory, where the producer's own child processes run the calls."""

    share = 1.0
    least = None

    def migrate(self) -> None:
        """Make no tables."""

    @contextmanager
    def _workers(self, processes: int) -> Iterator[None]:  # noqa: ARG002 # the producer has them
        yield

    def _producer(self, kind: str, calls: int, processes: int) -> "subprocess.Popen[str]":
        own = str(processes)
        return self._start(_MODULE, kind, str(calls), own, MAINSPRING_BENCH_MEMORY=own)
