"""Worker processes, supervisors and whole trees are killed while a map runs.

Short: 4 kills during 300,000 calls. ``--long``: 20 during 5 million.
"""

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from mainspring.core.chunks import first_of, is_merge
from mainspring.core.jobs import State
from tests.chaos.account import check_tidiness
from tests.chaos.report import Report
from tests.chaos.test_kills import kill
from tests.chaos.trees import Tree
from tests.integration.databases import on_postgresql
from tests.integration.sites import Seen, Site
from tests.integration.waiting import wait_until

KINDS = ("process", "supervisor", "process", "tree")

_START = """
from jobs.mapped_chaos import add, busy
print(busy.map(range({calls}), reduce=add).id)
"""

# Counts what is wrong with each call's own result, in plain Python.
_READ = """
import json
from jobs.mapped_chaos import busy
handle = busy.get_map({map_id!r}).wait({patience})
results = 0
wrong, attempts = [], 0
for index, result in enumerate(handle):
    results += 1
    attempts += result.attempts
    if (result.id, result.status) != (f"{{handle.id}}:{{index}}", "SUCCESSFUL"):
        wrong.append([index, result.id, result.status])
    elif result.return_value != index:
        wrong.append([index, result.return_value])
progress = handle.progress
print(json.dumps({{
    "results": results,
    "wrong": wrong[:20],
    "attempts": attempts,
    "total": progress.total,
    "done": progress.done,
    "failed": progress.failed,
    "running": progress.running,
    "values": sum(value == index for index, value in enumerate(handle.values())),
    "reduced": handle.result.return_value,
}}))
"""


def ask(site: Site, code: str, timeout: float) -> str:
    """Run code in another process; return what it has printed."""
    process = site.manage("shell", "--no-imports", "-c", code, stdout=subprocess.PIPE)
    printed, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, site.output.read_text()
    return str(printed)


def done(site: Site, calls: int) -> int:
    """Return how many calls are in rows that have been settled."""
    rows = site.query("SELECT id, state FROM mainspring_job ORDER BY id")
    own = [(first_of(job_id), state) for job_id, state in rows if not is_merge(job_id)]
    return sum(
        following - first
        for (first, state), (following, _) in pairwise([*own, (calls, State.READY)])
        if state == State.SUCCESSFUL
    )


def wait_for_the_dead(site: Site, tree: Tree) -> None:
    """Wait until nothing is left of those that were killed, but what only time removes.

    The map may have ended without the last tree, which would then be stopped before it has looked.
    """

    left: list[str] = []

    def are_gone() -> bool:
        left[:] = [one for one in (*site.workers(), *site.boards()) if not tree.has(one)]
        return bool(tree.workers) and not left

    try:
        wait_until(are_gone, 30, "the last tree alone")
    except AssertionError as error:
        error.add_note(f"Left: {left}; alive: {tree.workers}\n{site.output.read_text()[-3000:]}")
        raise


def check_rows(rows: list[Seen], calls: int) -> None:
    """Check that all rows of calls have ended well, each attempt but the last by a kill."""
    assert {row.state for row in rows} == {State.SUCCESSFUL}
    assert min(first_of(row.id) for row in rows if not is_merge(row.id)) == 0
    assert max(first_of(row.id) for row in rows if not is_merge(row.id)) < calls
    for row in rows:
        assert set(row.kinds) <= {"WorkerLost", "OutcomeLost"}, row


@pytest.mark.chaos
@on_postgresql
def test_kills_during_a_map(
    make_site: Callable[..., Site],
    engine: str,
    report: Report,
    is_long: bool,
    seed: int,
    chance: random.Random,
) -> None:
    calls, kills = (5_000_000, 20) if is_long else (300_000, 4)
    patience = 600 if is_long else 60
    site = make_site()
    order = [KINDS[index % len(KINDS)] for index in range(kills)]
    chance.shuffle(order)
    tree = Tree(site, "--processes=2")
    tree.wait_until_ready()
    began = time.monotonic()
    map_id = ask(site, _START.format(calls=calls), patience).strip()

    for index, kind in enumerate(order):
        # Spread over the work, at no particular moment of it.
        goal = calls * (index + chance.random()) / (kills + 1)
        wait_until(lambda goal=goal: done(site, calls) >= goal, patience, f"{goal} calls")
        kill(tree, kind, chance)

    found: dict[str, Any] = json.loads(
        ask(site, _READ.format(map_id=map_id, patience=patience), 2 * patience)
    )
    seconds = time.monotonic() - began
    wait_for_the_dead(site, tree)
    tree.stop()
    check_tidiness(site)

    rows = site.jobs()
    own = [row for row in rows if not is_merge(row.id)]
    killed = sorted(Counter(order).items())
    report.add(
        f"kills during a map: {engine}",
        {
            "kills": kills,
            **{f"  of a {kind}": number for kind, number in killed},
            "calls": calls,
            "  with one result, the right one": found["results"] - len(found["wrong"]),
            "  failed": found["failed"],
            "  left running": found["running"],
            "rows at the end": len(own),
            "  run more than once": sum(len(row.workers) > 1 for row in own),
            "merges": len(rows) - len(own),
            "  of merges run more than once": sum(
                len(row.workers) > 1 for row in rows if is_merge(row.id)
            ),
            "seconds": seconds,
            "seed": seed,
        },
    )
    assert found["wrong"] == []
    assert found["results"] == found["values"] == calls
    assert (found["total"], found["done"]) == (calls, calls)
    assert (found["failed"], found["running"]) == (0, 0)
    assert found["reduced"] == sum(range(calls))
    check_rows(rows, calls)
