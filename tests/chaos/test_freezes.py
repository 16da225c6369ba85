"""Whole worker trees are frozen for longer than their lease, and thawed: the work went on.

Another tree takes over what the frozen one ran. When that one comes back, what it brings is
dropped, its tasks are told, and it works on.

Short: 3 freezes. ``--long``: 60.
"""

import random
import time
from collections.abc import Callable

import pytest

from tests.chaos.account import ATOMIC, Account, check_tidiness, wait_for_the_end
from tests.chaos.ledger import Ledger, Lines
from tests.chaos.report import Report
from tests.chaos.trees import Tree
from tests.integration.databases import on_postgresql
from tests.integration.processes import freeze
from tests.integration.sites import Site
from tests.integration.waiting import wait_until

LEASE = 1  # seconds
SHORT = 60  # short tasks for each freeze
_PATIENCE = 60  # seconds


class Freezing:
    """Freezes one of two trees in the middle of what it runs."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site = site
        self.chance = chance
        self.ledger = Ledger(site)
        self.told = Lines(site.folder / "told")
        # Async tasks are claimed by the hundred: few at a time, so that both trees have some.
        self.trees = [Tree(site, "--processes=1", "--async-concurrency=10") for _ in range(2)]
        self.ids: list[str] = []
        self.locked = 0
        """How many freezes met a tree that held the lock of the whole database."""

    def freeze_one(self, number: int) -> None:
        """Freeze the tree that runs a task which does not end; thaw it when another one runs it."""
        gate = f"gate{number}"
        held = self._enqueue(number, gate)
        runs_at = {one: self._wait_for_executions(one, 1) for one in held}
        victim = next(tree for tree in self.trees if tree.has(runs_at[held[0]][0]))
        lost = [one for one in held if victim.has(runs_at[one][0])]
        self.ledger.wait_for_more(self.chance.randrange(10))

        self.locked += freeze(self.site.data, victim.freeze, victim.thaw)
        for one in lost:
            self._wait_for_executions(one, 2)
        victim.thaw()

        for one in lost:
            wait_until(lambda one=one: self.told.workers_of(one), _PATIENCE, f"{one} is told")
        self.site.touch(gate)

    def _wait_for_executions(self, job_id: str, number: int) -> list[str]:
        def workers() -> list[str]:
            found = self.ledger.workers_of(job_id)
            return found if len(found) >= number else []

        return wait_until(workers, _PATIENCE, f"{number} executions of {job_id}")

    def _enqueue(self, number: int, gate: str) -> list[str]:
        held = [("jobs.chaos.until", gate), ("jobs.chaos.auntil", gate)]
        short = [("ledger", 0.01), ("aledger", 0.05), (ATOMIC, 0.01)]
        ids = self.site.enqueue_all([*held, *(short * (SHORT // len(short)))])
        self.ids += ids
        return ids[: len(held)]


@pytest.mark.chaos
@on_postgresql
def test_freezes(
    make_site: Callable[..., Site],
    engine: str,
    report: Report,
    is_long: bool,
    seed: int,
    chance: random.Random,
) -> None:
    freezes = 60 if is_long else 3
    site = make_site(options={"LEASE": LEASE})
    began = time.monotonic()
    freezing = Freezing(site, chance)
    for tree in freezing.trees:
        tree.wait_until_ready()
    for number in range(freezes):
        freezing.freeze_one(number)
    wait_for_the_end(site, freezing.ledger)
    seconds = time.monotonic() - began
    for tree in freezing.trees:
        tree.stop()
    check_tidiness(site)

    account = Account.of(site, freezing.ledger)
    dropped = site.logged("drops its outcome")
    report.add(
        f"freezes of a whole tree for longer than its lease, {engine}",
        {
            "freezes": freezes,
            "  others, that held SQLite's lock and were ended at once": freezing.locked,
            **account.table(freezing.ids),
            "tasks that were told that they had lost their claim": freezing.told.read(),
            "outcomes that came late and were dropped": len(dropped),
            "workers that found that they had been given up": len(site.logged("had been given up")),
            "seconds": seconds,
            "seed": seed,
        },
    )
    account.check(freezing.ids, {"WorkerLost"})
