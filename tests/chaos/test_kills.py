"""Worker processes, supervisors and whole trees are killed while thousands of tasks run.

Short: 5 kills during 300 tasks, in each mode. ``--long``: 200 kills during 50,000.
"""

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from mainspring.core.jobs import State
from mainspring.core.outcomes import MAX_CRASHES
from tests.chaos.account import ATOMIC, Account, check_tidiness, wait_for_the_end
from tests.chaos.ledger import Ledger
from tests.chaos.report import Report
from tests.chaos.trees import Tree
from tests.integration.databases import on_postgresql
from tests.integration.sites import Seen, Site

MODES = {
    "main thread": (1, ["ledger", ATOMIC]),
    "threads and event loop": (3, ["ledger", "aledger", ATOMIC]),
}
KINDS = ("process", "process", "process", "supervisor", "tree")


def kill(tree: Tree, kind: str, chance: random.Random) -> None:
    """Kill one of ``KINDS``."""
    if kind == "process":
        tree.kill_a_process(chance)
    elif kind == "supervisor":
        tree.kill_supervisor()
    else:
        tree.kill()


def check_order(job: Seen, executed: list[str]) -> None:
    """Check that a call was executed as its attempts say, by workers that were then killed."""
    if job.state == State.FAILED:
        assert job.kinds.count("WorkerLost") == MAX_CRASHES, job
    else:
        assert executed[-1] == job.workers[-1], job
    # An attempt without an execution was killed after the journal had it and before the task wrote
    # its line.
    attempts = iter(job.workers)
    assert all(worker in attempts for worker in executed), (job, executed)
    # It never gets back what it was running when it died.
    assert len(set(job.workers)) == len(job.workers), job


@pytest.mark.chaos
@on_postgresql
@pytest.mark.parametrize("mode", MODES)
def test_kills(
    make_site: Callable[..., Site],
    engine: str,
    mode: str,
    report: Report,
    is_long: bool,
    seed: int,
    chance: random.Random,
) -> None:
    tasks, kills = (50_000, 200) if is_long else (300, 5)
    threads, names = MODES[mode]
    site = make_site()
    ledger = Ledger(site)
    # A quarter of the tasks take a while, so that kills meet some that run.
    calls = [
        (names[index % len(names)], chance.choice([0, 0, 0, 0.03 * threads]))
        for index in range(tasks)
    ]
    ids = site.enqueue_all(calls)
    order = [KINDS[index % len(KINDS)] for index in range(kills)]
    chance.shuffle(order)
    began = time.monotonic()
    tree = Tree(site, "--processes=2", f"--threads={threads}")

    for index, kind in enumerate(order):
        # Spread over the work, at no particular moment of it.
        ledger.wait_for(tasks * (index + chance.random()) / (kills + 1), 120)
        kill(tree, kind, chance)

    wait_for_the_end(site, ledger)
    seconds = time.monotonic() - began
    tree.stop()
    check_tidiness(site)

    account = Account.of(site, ledger)
    killed = sorted(Counter(order).items())
    report.add(
        f"kills: {mode}, {engine}",
        {
            "kills": kills,
            **{f"  of a {kind}": number for kind, number in killed},
            **account.table(ids),
            "seconds": seconds,
            "seed": seed,
        },
    )
    # What ended with its worker, or had ended and was not stored yet.
    account.check(ids, {"WorkerLost", "OutcomeLost"})
    for job in account.jobs.values():
        if job.id not in account.atomic:
            check_order(job, account.executions.get(job.id, []))
