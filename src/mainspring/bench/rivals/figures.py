"""What was measured of a competitor, and the medians that the tables show."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from mainspring.bench.rivals.competitors import Competitor, Variant


class Drain(NamedTuple):
    """One drain by one variant, and what its workers did once they were idle."""

    settings: str
    jobs: int
    rate: float
    """Tasks a second, from the first one started to the last one stored."""
    p50: float
    """Milliseconds from enqueueing to started, by idle workers: so are the next two."""
    p95: float
    p99: float
    memory: float
    """MB resident in the tree of workers, shared pages counted once."""


class Round(NamedTuple):
    """All that was measured of one competitor in one round."""

    one_by_one: float
    """Tasks a second, enqueued one at a time."""
    bulk: float | None
    """Tasks a second, enqueued with the bulk call; None where there is none."""
    drains: tuple[Drain, ...]


class Outcome:
    """A competitor and its rounds so far, or why there are none."""

    def __init__(self, competitor: Competitor) -> None:
        self.competitor = competitor
        self.server = ""
        self.rounds: list[Round] = []
        self.error = ""
        """Why it is not measured, or not any longer; "" if it is."""
        self.failed: dict[str, str] = {}
        """By the settings of a variant that does not work: why."""

    @property
    def is_measured(self) -> bool:
        """Whether there are figures to show."""
        return any(one.drains for one in self.rounds)

    def pending(self) -> list[Variant]:
        """Return the variants that are to be measured in the next round."""
        return [v for v in self.competitor.variants if v.settings not in self.failed]

    def best(self) -> str:
        """Return the settings of the variant whose median drain is the fastest."""
        return max(
            {drain.settings for one in self.rounds for drain in one.drains},
            key=lambda settings: (self._median("rate", settings), settings),
        )

    def summary(self) -> "Summary":
        """Return the medians, of the best variant where variants differ."""
        best = self.best()
        bulks = [one.bulk for one in self.rounds if one.bulk is not None]
        return Summary(
            name=self.competitor.name,
            version=self.competitor.version,
            settings=best,
            keeps=self.competitor.keeps,
            drain=self._median("rate", best),
            one_by_one=median(one.one_by_one for one in self.rounds),
            bulk=median(bulks) if bulks else None,
            p50=self._median("p50", best),
            p95=self._median("p95", best),
            p99=self._median("p99", best),
            memory=self._median("memory", best),
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything that was measured."""
        return {
            "name": self.competitor.name,
            "engine": self.competitor.engine,
            "packages": self.competitor.packages,
            "error": self.error,
            "variants_that_failed": self.failed,
            "median": self.summary()._asdict() if self.is_measured else None,
            "rounds": [
                {**one._asdict(), "drains": [drain._asdict() for drain in one.drains]}
                for one in self.rounds
            ],
        }

    def _median(self, figure: str, settings: str) -> float:
        figures: list[float] = [
            getattr(drain, figure)
            for one in self.rounds
            for drain in one.drains
            if drain.settings == settings
        ]
        return median(figures)


class Summary(NamedTuple):
    """The row of one competitor: medians; rates by the second, delays in ms, memory in MB."""

    name: str
    version: str
    settings: str
    keeps: str
    drain: float
    one_by_one: float
    bulk: float | None
    p50: float
    p95: float
    p99: float
    memory: float


def ours_to_theirs(summaries: Sequence[Summary]) -> Callable[[Summary], float | None]:
    """Return what tells our drain as a multiple of a rival's; None of our own, or without ours."""
    ours = next((one.drain for one in summaries if one.name == "mainspring"), None)
    return lambda one: None if ours is None or one.name == "mainspring" else ours / one.drain
