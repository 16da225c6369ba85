"""Worker processes, supervisors and whole trees are killed while thousands of tasks run.

Short: 12 kills during 1,000 tasks. ``--long``: 50 kills during 5,000.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import pytest

from mainspring.core.jobs import State
from mainspring.core.outcomes import MAX_CRASHES
from tests.integration.sites import Seen, Site, children, kill_tree
from tests.integration.waiting import wait_until

MODES = {"main thread": (1, ["ledger"]), "threads and event loop": (3, ["ledger", "aledger"])}
KINDS = ("process", "process", "process", "supervisor", "tree")


@dataclass
class Chaos:
    """A worker, and who kills it."""

    site: Site
    random: random.Random
    arguments: tuple[str, ...]
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Start the first worker."""
        self.worker = self.site.worker(*self.arguments)

    def kill_one(self, kind: str) -> None:
        """Kill at random, and start anew what does not do so by itself."""
        if kind == "process":
            found = wait_until(lambda: children(self.worker))
            with suppress(psutil.NoSuchProcess):
                self.random.choice(found).kill()
        if kind == "supervisor":
            self.worker.kill()
            self.worker.wait()
        if kind == "tree":
            kill_tree(self.worker)
        if kind != "process":
            self.worker = self.site.worker(*self.arguments)
        self.kills[kind] += 1


def executions(site: Site) -> dict[str, list[str]]:
    """Return the workers that executed each job, from the ledger, in order."""
    found: dict[str, list[str]] = {}
    for job_id, worker, *_ in sorted(site.lines(), key=lambda words: float(words[3])):
        found.setdefault(job_id, []).append(worker)
    return found


def check(job: Seen, executed: list[str]) -> None:
    """Check that each attempt of a job is accounted for."""
    assert job.state in (State.SUCCESSFUL, State.FAILED), job
    # What ended with its worker, or had ended and was not stored yet.
    assert set(job.kinds) <= {"WorkerLost", "OutcomeLost"}, job
    lost = len(job.kinds)
    if job.state == State.FAILED:
        assert job.kinds.count("WorkerLost") == MAX_CRASHES, job
        assert len(job.workers) == lost, job
    else:
        assert executed, job
        assert len(job.workers) == lost + 1, job
        assert executed[-1] == job.workers[-1], job
    # Each execution is a recorded attempt of the same worker. An attempt without an execution was
    # killed after the journal had it and before the task wrote its line.
    attempts = iter(job.workers)
    assert all(worker in attempts for worker in executed), (job, executed)
    # No two attempts by the same worker: it never gets back what it was running when it died.
    assert len(set(job.workers)) == len(job.workers), job


@pytest.mark.chaos
@pytest.mark.parametrize("mode", ["main thread", "threads and event loop"])
def test_kills(
    make_site: Callable[..., Site], pytestconfig: pytest.Config, report: list[str], mode: str
) -> None:
    is_long = pytestconfig.getoption("--long")
    tasks, kills = (5000, 50) if is_long else (1000, 12)
    if not is_long:
        tasks, kills = tasks // 2, kills // 2  # in each mode
    site = make_site()
    seed = random.randrange(10**6)
    threads, names = MODES[mode]
    # A third of the tasks take a while, so that kills meet some that run.
    calls = [
        (names[index % len(names)], 0.03 * threads if index % 3 == 0 else 0.0)
        for index in range(tasks)
    ]
    ids = site.enqueue_all(calls)
    chaos = Chaos(site, random.Random(seed), ("--processes=2", f"--threads={threads}"))
    order = [KINDS[index % len(KINDS)] for index in range(kills)]
    chaos.random.shuffle(order)

    for index, kind in enumerate(order):
        # Spread over the work, at no particular moment of it.
        done = tasks * (index + chaos.random.random()) / (kills + 1)
        wait_until(lambda least=done: len(site.lines()) >= least, 120, f"{done} (seed {seed})")
        chaos.kill_one(kind)

    jobs = site.wait_for_all(120)
    assert site.stop(chaos.worker) == 0
    # A tree without its supervisor may still be ending.
    wait_until(lambda: site.workers() == [], 10, "the end of all workers")
    wait_until(lambda: site.boards() == [], 10, "the end of all boards")

    executed = executions(site)
    for job in jobs:
        check(job, executed.get(job.id, []))
    assert {job.id for job in jobs} == set(ids)
    assert executed.keys() <= set(ids)
    assert site.states().keys() <= {State.SUCCESSFUL, State.FAILED}
    report += table(chaos, mode, seed, jobs, executed)


def table(
    chaos: Chaos, mode: str, seed: int, jobs: list[Seen], executed: dict[str, list[str]]
) -> list[str]:
    """Return what was counted, as text."""
    states = Counter(job.state for job in jobs)
    rows = {
        f"kills ({mode})": sum(chaos.kills.values()),
        **{f"  of a {kind}": number for kind, number in sorted(chaos.kills.items())},
        "tasks": len(jobs),
        "  successful": states[State.SUCCESSFUL],
        f"  failed, at the {MAX_CRASHES}rd WorkerLost": states[State.FAILED],
        "  lost": len(jobs) - states[State.SUCCESSFUL] - states[State.FAILED],
        "  left running": states[State.RUNNING],
        "executions": sum(map(len, executed.values())),
        "attempts recorded": sum(len(job.workers) for job in jobs),
        "  ended by a WorkerLost": sum(job.kinds.count("WorkerLost") for job in jobs),
        "  ended, and not stored yet": sum(job.kinds.count("OutcomeLost") for job in jobs),
        "  killed before the task's first line": sum(
            len(job.workers) - len(executed.get(job.id, [])) for job in jobs
        ),
        "workers left registered": len(chaos.site.workers()),
        "seed": seed,
    }
    return [f"{name:40}{number:>8}" for name, number in rows.items()]
