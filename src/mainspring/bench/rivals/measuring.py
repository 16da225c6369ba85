"""One round of one competitor, measured in the same way for all."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from mainspring.bench.rivals.adapters.bench_page import Page
from mainspring.bench.rivals.client import Client, CompetitorError
from mainspring.bench.rivals.competitors import Competitor, Variant
from mainspring.bench.rivals.figures import Drain, Round
from mainspring.bench.rivals.processes import last_words, resident_bytes, started

if TYPE_CHECKING:
    import subprocess

_ADAPTERS: Final = Path(__file__).with_name("adapters")
_WARM_UP: Final = 100
_ENQUEUED: Final = 2000
_PROBES: Final = 100
_GAP: Final = 0.05  # seconds between probes
_SECONDS_TO_DRAIN: Final = 20
_LONGEST_DRAIN: Final = 120.0
_LONGEST_STALL: Final = 30.0


class Bench:
    """One competitor, installed, with its ``python`` and a folder for its logs."""

    def __init__(
        self, competitor: Competitor, python: Path, server: str, folder: Path, jobs: int
    ) -> None:
        self._competitor, self._python, self._server = competitor, python, server
        self._log = folder / f"{competitor.name}.log"
        self._page_path = folder / f"{competitor.name}.page"
        self._page = Page(self._page_path)
        self._jobs = min(jobs, competitor.most_jobs)
        self._most_jobs: dict[str, int] = {}  # by the settings of a variant that was slower yet

    def prepare(self) -> str:
        """Make the competitor's own database; return the server's name and version."""
        with self._client(self._competitor.variants[0]) as client:
            try:
                return client.prepare()
            except CompetitorError:
                if self._competitor.engine == "postgresql":  # a database of its own, half made
                    with suppress(CompetitorError):
                        client.drop()
                raise

    def drop(self) -> None:
        """Remove the competitor's database."""
        with self._client(self._competitor.variants[0]) as client:
            client.drop()

    def measure_enqueueing(self) -> tuple[float, float | None]:
        """Return how many a second are enqueued one by one, and in bulk where that is possible."""
        with self._client(self._competitor.variants[0]) as client:
            client.open()
            client.empty()
            client.enqueue(_WARM_UP)
            one_by_one = _ENQUEUED / client.enqueue(_ENQUEUED)
            bulk = None
            if client.has_bulk():
                client.enqueue_many(_WARM_UP)
                client.empty()
                bulk = self._jobs / client.enqueue_many(self._jobs)
            client.empty()
        return one_by_one, bulk

    def measure_variant(self, variant: Variant) -> Drain:
        """Drain a backlog, then probe the idle workers."""
        with self._client(variant) as client:
            client.open()
            client.empty()
            jobs = min(self._jobs, self._most_jobs.get(variant.settings, self._jobs))
            (client.enqueue_many if client.has_bulk() else client.enqueue)(jobs)
            try:
                drain = self._drain(client, variant, jobs)
            finally:
                client.empty()
        self._most_jobs[variant.settings] = int(drain.rate * _SECONDS_TO_DRAIN)
        return drain

    def _drain(self, client: Client, variant: Variant, jobs: int) -> Drain:
        self._page.clear()
        with self._workers(variant) as workers:
            end = self._wait_until_stored(client, workers, jobs)
            rate = jobs / (end - self._page.first_ns()) * 1e9
            cuts = self._probe(client)
            memory = resident_bytes(workers) / 1e6
        return Drain(variant.settings, jobs, rate, cuts[49], cuts[94], cuts[98], memory)

    def _wait_until_stored(
        self, client: Client, workers: Sequence["subprocess.Popen[str]"], jobs: int
    ) -> int:
        # The competitor's own storage is asked only once all tasks have started.
        began = moved = time.monotonic()
        seen = 0
        while True:
            done = self._page.started()
            if done >= jobs:
                stored = client.stored()
                done = jobs + (jobs if stored is None else stored)
            end = time.monotonic_ns()
            if done >= 2 * jobs:
                return end
            now = time.monotonic()
            if done != seen:
                seen, moved = done, now
            self._check(workers)
            if now - moved > _LONGEST_STALL or now - began > _LONGEST_DRAIN:
                raise CompetitorError(
                    f"drained {self._page.started():,} of {jobs:,} tasks, then no more: "
                    f"{last_words(self._log)}"
                )
            time.sleep(0.002)

    def _probe(self, client: Client) -> list[float]:
        time.sleep(1.5)  # until the workers have found that there is nothing to do
        client.probe(5, _GAP)
        time.sleep(1)
        self._page.forget_delays()
        client.probe(_PROBES, _GAP)
        deadline = time.monotonic() + 10
        while 0 in (delays := self._page.delays_ns(_PROBES)) and time.monotonic() < deadline:
            time.sleep(0.01)
        if 0 in delays:
            raise CompetitorError(f"idle workers started {_PROBES - delays.count(0)} of {_PROBES}")
        return [cut / 1e6 for cut in quantiles(delays, n=100, method="inclusive")]

    def _check(self, workers: Sequence["subprocess.Popen[str]"]) -> None:
        for worker in workers:
            if (status := worker.poll()) is not None:
                raise CompetitorError(
                    f"a worker ended with status {status}: {last_words(self._log)}"
                )

    @contextmanager
    def _client(self, variant: Variant) -> Iterator[Client]:
        command = [str(self._python), str(_ADAPTERS / self._competitor.adapter)]
        with started(command, self._environment(variant), self._log, piped=True) as process:
            yield Client(process, self._log)

    @contextmanager
    def _workers(self, variant: Variant) -> Iterator[list["subprocess.Popen[str]"]]:
        environment = self._environment(variant)
        with ExitStack() as stack:
            yield [
                stack.enter_context(started(self._command(line), environment, self._log))
                for line in variant.workers
            ]

    def _command(self, line: str) -> list[str]:
        first, *rest = line.split()
        program = self._python if first == "python" else self._python.with_name(first)
        places = {
            "{adapter}": str(_ADAPTERS / self._competitor.adapter),
            "{url}": own_url(self._competitor, self._server),
        }
        return [str(program), *(places.get(word, word) for word in rest)]

    def _environment(self, variant: Variant) -> Mapping[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
        return {
            **inherited,
            "PYTHONPATH": str(_ADAPTERS),
            "MAINSPRING_BENCH_RIVAL": self._competitor.name,
            "MAINSPRING_BENCH_PAGE": str(self._page_path),
            "MAINSPRING_BENCH_SERVER": self._server,
            "MAINSPRING_BENCH_URL": own_url(self._competitor, self._server),
            **self._competitor.environment,
            **variant.environment,
        }


_NOT_INHERITED: Final = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"}


def own_url(competitor: Competitor, server: str) -> str:
    """Return where the competitor keeps its tasks: on PostgreSQL, a database of its own."""
    if competitor.engine == "redis":
        return server
    name = f"mainspring_bench_{competitor.name.replace('-', '_')}"
    return urlsplit(server)._replace(path=f"/{quote(name)}").geturl()


def measure_round(bench: Bench, variants: Sequence[Variant], failed: dict[str, str]) -> Round:
    """Measure one round; a variant that does not work is noted in ``failed``.

    Raises CompetitorError if none works.
    """
    one_by_one, bulk = bench.measure_enqueueing()
    drains = []
    for variant in variants:
        try:
            drains.append(bench.measure_variant(variant))
        except CompetitorError as error:
            failed[variant.settings] = str(error)
    if not drains:
        raise CompetitorError("; ".join(dict.fromkeys(failed.values())))
    return Round(one_by_one, bulk, tuple(drains))
