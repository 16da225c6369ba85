"""Clocks are set by an hour, forward and back, on one of two hosts and then on the other.

For a while, the hosts do not agree on what time it is, as when each is corrected by its own NTP
daemon; a third one, which enqueues, is always right. Nothing is to come of it: nobody is taken for
dead, nothing times out, what ran goes on, and what is new is run.

Short: 6 steps. ``--long``: 150.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from mainspring.core.jobs import State
from tests.chaos import stepped_clock
from tests.chaos.account import ATOMIC, Account, check_tidiness, wait_for_the_end
from tests.chaos.ledger import Ledger
from tests.chaos.report import Report
from tests.chaos.stepped_clock import SteppedClock
from tests.chaos.trees import Tree
from tests.integration.sites import Site
from tests.integration.waiting import wait_until

HOUR = 3600
LEASE = 2  # seconds
BATCH = 20  # calls for each host after each step
# One after the other they bring either host ahead of the other, and behind it.
STEPS = [(0, HOUR), (1, HOUR), (1, 0), (0, 0), (1, -HOUR), (1, 0)]


class Host:
    """A worker tree with a clock of its own, which works on the queue of its name."""

    def __init__(self, site: Site, name: str, threads: int) -> None:
        path = site.folder / f"clock-{name}"
        self.clock = SteppedClock(path)
        site.variables["STEPPED_CLOCK"] = str(path)
        self.tree = Tree(site, "--processes=1", f"--threads={threads}", f"--queues={name}")


def heartbeats(site: Site) -> Counter[str]:
    """Return when each worker was last heard of, by its own clock."""
    return Counter(dict(site.query("SELECT worker_id, heard_at FROM mainspring_worker")))


def wait_for_heartbeats(site: Site, number: int) -> None:
    """Wait until every worker has renewed its lease so many times."""
    seen, renewed = heartbeats(site), Counter[str]()

    def all_have() -> bool:
        nonlocal seen
        now = heartbeats(site)
        renewed.update(worker for worker in now if now[worker] != seen[worker])
        seen = now
        return all(renewed[worker] >= number for worker in now)

    wait_until(all_have, 60, f"{number} heartbeats of all")


@pytest.mark.chaos
def test_clock_steps(
    make_site: Callable[..., Site], report: Report, is_long: bool, seed: int, chance: random.Random
) -> None:
    steps = STEPS * (25 if is_long else 1)
    site = make_site("postgresql", options={"LEASE": LEASE})
    shutil.copy(Path(stepped_clock.__file__), site.folder / "sitecustomize.py")
    ledger = Ledger(site)
    began = time.monotonic()
    hosts = [Host(site, "first", 1), Host(site, "second", 2)]
    # The first host's main thread is taken the whole time; meanwhile it claims async tasks only.
    held = [("jobs.chaos.until", "gate"), ("jobs.chaos.auntil", "gate")]
    running = list(chain(*site.enqueue_together(first=held, second=held).values()))
    ids = list(running)
    wait_until(lambda: all(map(ledger.workers_of, running)), 60, "the start of those that go on")

    for number, ahead in steps:
        hosts[number].clock.ahead = ahead
        work = [("aledger", 0.02)] * BATCH
        sync = [("ledger", 0.005), (ATOMIC, 0.005)] * (BATCH // 2)
        new = site.enqueue_together(first=work, second=[*work, *sync])
        at_once = list(chain(*new.values()))
        # Due soon, for a host that does not think that it is an hour earlier.
        later = [site.enqueue("ledger", queue="second", after=chance.uniform(0.1, 3))]
        ids += at_once + later
        wait_until(lambda ids=at_once: all(map(ledger.workers_of, ids)), 60, f"work at {ahead} s")
        if len({host.clock.ahead for host in hosts}) > 1:
            wait_for_heartbeats(site, 3)

    assert {site.job(one).state for one in running} == {State.RUNNING}
    site.touch("gate")
    wait_for_the_end(site, ledger)
    seconds = time.monotonic() - began
    for host in hosts:
        host.tree.stop()
    check_tidiness(site)

    account = Account.of(site, ledger)
    report.add(
        "clock steps by an hour, postgresql",
        {
            "steps": len(steps),
            **account.table(ids),
            "workers taken for dead": len(site.logged("had been given up")),
            "seconds": seconds,
            "seed": seed,
        },
    )
    account.check(ids)
    assert site.logged("had been given up") == []
