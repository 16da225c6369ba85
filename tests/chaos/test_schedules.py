"""Workers are killed and started, and clocks set, while schedules tick every second.

Short: 4 workers, 50 schedules, 8 seconds. ``--long``: 8 workers, 200 schedules, a minute.
"""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import stepped_clock
from tests.chaos.report import Report
from tests.chaos.stepped_clock import SteppedClock
from tests.chaos.trees import Tree
from tests.integration.databases import on_postgresql
from tests.integration.scheduled import (
    check_that_every_tick_is_there_once,
    every_second,
    percentile,
    ticked,
)
from tests.integration.sites import Site
from tests.integration.waiting import wait_until

HOUR = 3600
LATE = 0.25  # seconds: what 99 % of the ticks are to be faster than


def wait_for_ticks(site: Site, schedules: int) -> None:
    """Wait until all schedules have ticked."""
    sql = "SELECT count(*) FROM mainspring_schedule WHERE last_job_id IS NOT NULL"
    wait_until(lambda: site.query(sql)[0][0] == schedules, 60, "the first ticks")


@pytest.mark.chaos
@on_postgresql
def test_workers_are_killed_while_schedules_tick(
    make_site: Callable[..., Site],
    engine: str,
    report: Report,
    is_long: bool,
    seed: int,
    chance: random.Random,
) -> None:
    workers, schedules, seconds = (8, 200, 60) if is_long else (4, 50, 8)
    site = make_site(options={"SCHEDULES": every_second(schedules, catch_up="all")})
    trees = [Tree(site, "--processes=1") for _ in range(workers)]
    wait_for_ticks(site, schedules)
    began, kills = time.time(), 0
    while time.time() < began + seconds:
        tree = chance.choice(trees)
        if chance.random() < 0.5:
            tree.kill()
        else:
            tree.kill_a_process(chance)
        kills += 1
        site.wait_for_quiet(1)
    ended = time.time()
    wait_for = int(ended) + 1
    wait_until(lambda: min(_last_ticks(site)) >= wait_for, 20, "the last ticks")
    for tree in trees:
        tree.stop()

    found = [one for one in ticked(site) if one.tick <= wait_for]
    check_that_every_tick_is_there_once(found, schedules)
    late = [one.lateness for one in found if one.tick > began]
    waits = [one.started_at - one.tick for one in found if one.started_at and one.tick > began]
    report.add(
        f"schedules, {engine}",
        {
            "workers": workers,
            "schedules": schedules,
            "kills": kills,
            "ticks": len(found),
            "lateness p50, ms": round(percentile(late, 0.5) * 1000, 1),
            "lateness p99, ms": round(percentile(late, 0.99) * 1000, 1),
            "lateness max, ms": round(max(late) * 1000, 1),
            "tick to start p50, ms": round(percentile(waits, 0.5) * 1000, 1),
            "tick to start p99, ms": round(percentile(waits, 0.99) * 1000, 1),
            "seed": seed,
        },
    )
    assert percentile(late, 0.99) < LATE


def _last_ticks(site: Site) -> list[float]:
    return [tick / 1e6 for (tick,) in site.query("SELECT last_tick FROM mainspring_schedule")]


@pytest.mark.chaos
@on_postgresql
def test_clocks_are_set_while_schedules_tick(
    make_site: Callable[..., Site], engine: str, report: Report, is_long: bool
) -> None:
    schedules = 20
    site = make_site(options={"SCHEDULES": every_second(schedules, catch_up="all")})
    shutil.copy(Path(stepped_clock.__file__), site.folder / "sitecustomize.py")
    clocks, trees = [], []
    for name in ("first", "second"):
        path = site.folder / f"clock-{name}"
        clocks.append(SteppedClock(path))
        site.variables["STEPPED_CLOCK"] = str(path)
        trees.append(Tree(site, "--processes=1"))
    wait_for_ticks(site, schedules)
    steps = [(0, HOUR), (1, -HOUR), (0, 0), (1, 0), (0, -HOUR), (1, -HOUR), (0, HOUR), (1, HOUR)]
    for number, ahead in steps * (5 if is_long else 1):
        clocks[number].ahead = ahead
        site.wait_for_quiet(1.5)
    end = int(time.time())
    wait_until(lambda: min(_last_ticks(site)) >= end, 20, "the last ticks")
    for tree in trees:
        tree.stop()

    found = ticked(site)
    check_that_every_tick_is_there_once([one for one in found if one.tick <= end], schedules)
    late = [abs(one.lateness) for one in found]
    assert max(one.tick for one in found) < time.time() + 1  # nobody has gone ahead
    assert len(site.logged("schedules go by the latter")) >= 2
    report.add(
        f"schedules while clocks are set, {engine}",
        {
            "steps by an hour": len(steps),
            "ticks": len(found),
            "lateness p99, ms": round(percentile(late, 0.99) * 1000, 1),
        },
    )
    assert percentile(late, 0.99) < LATE
