"""What the workers of a site have made of its schedules."""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

from mainspring.core import clock, codec

from .sites import Site


class Ticked(NamedTuple):
    """One call that a schedule has enqueued. Moments are seconds since 1970."""

    schedule: str
    tick: float
    enqueued_at: float
    started_at: float | None

    @property
    def lateness(self) -> float:
        """How many seconds after its tick it was enqueued."""
        return self.enqueued_at - self.tick


def every_second(number: int, **more: Any) -> dict[str, Any]:
    """Return so many schedules for ``SCHEDULES``, half of them expressions, half intervals."""
    return {
        f"s{index}": {
            "task": "jobs.tasks.nothing",
            **({"cron": "* * * * * *"} if index % 2 else {"every": 1}),
            **more,
        }
        for index in range(number)
    }


def ticked(site: Site) -> list[Ticked]:
    """Return what was enqueued."""
    rows = site.query("SELECT metadata, enqueued_at, started_at FROM mainspring_job")
    return [
        Ticked(
            told["name"],
            datetime.fromisoformat(told["tick"]).timestamp(),
            enqueued / clock.SECOND,
            started and started / clock.SECOND,
        )
        for metadata, enqueued, started in rows
        for told in (codec.decode(bytes(metadata))["_schedule"],)
    ]


def check_that_every_tick_is_there_once(found: list[Ticked], schedules: int) -> None:
    """Assert it: of each schedule, one tick a second from its first one on."""
    times = Counter((one.schedule, one.tick) for one in found)
    assert [one for one, number in times.items() if number > 1] == []
    ticks: dict[str, list[float]] = {}
    for name, tick in sorted(times):
        ticks.setdefault(name, []).append(tick)
    assert len(ticks) == schedules
    for name, of_one in ticks.items():
        missing = set(range(round(of_one[0]), round(of_one[-1]))).difference(map(round, of_one))
        assert not missing, (name, missing)


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of all is not above."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
