"""Everything that can happen to a site at once, and what must be true afterwards."""

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Final

from mainspring.core import clock
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, State
from mainspring.core.outcomes import MAX_CRASHES
from tests.chaos.account import ATOMIC, Account
from tests.chaos.bad_network import BadNetwork
from tests.chaos.ledger import Ledger
from tests.chaos.older import import_path, older_source
from tests.chaos.producers import Producers
from tests.chaos.trees import Tree
from tests.integration.processes import freeze
from tests.integration.sites import Site
from tests.integration.waiting import wait_until

LEASE: Final = 2  # seconds
ROUGH: Final = ("jobs.rough.forks", "jobs.rough.hangs", "jobs.rough.innocent")
_RECYCLED: Final = "--max-tasks=50"
_PATIENCE: Final = 120  # seconds
_MOST_LEFT: Final = 2_000  # calls that wait before the producers rest
_PAUSES: Final = {"jobs.rough.forks": 0.2, "jobs.rough.hangs": 1.0}
_UNREADABLE: Final = (
    (b"[[],{}]", b'{"_format":9}'),
    (b"[[],{}]", b'{"backoff":{"quadratic":{}}}'),
    (b"[[],{}]", b"\xff"),
    (b"[[", None),
)
"""Arguments and options: those of newer versions, then damaged ones."""
_NEWER: Final = 2  # number of those of newer versions


class Storm:
    """Runs one site, and lets everything happen to it."""

    def __init__(self, site: Site, network: BadNetwork | None, chance: random.Random) -> None:
        self.site = site
        self.spoiled: list[str] = []
        """The ids of rows that this version cannot read."""
        self._network = network
        self._chance = chance

    def begin(self) -> None:
        """Start the workers, the producers and the other processes."""
        site = self.site
        self.ledger = Ledger(site)
        self._trees = [
            Tree(site, "--processes=2", _RECYCLED),
            Tree(site, "--processes=1", "--threads=3", _RECYCLED),
        ]
        source = older_source(site.folder / "older")
        self._older: Tree | None = None
        if source is not None:
            variables = import_path(site, source)
            self._older = Tree(site, "--processes=1", "--queues=default", variables=variables)
        self.producers = Producers(site, "ledger", ATOMIC, *ROUGH, pauses=_PAUSES)
        longest = 2 * LEASE if self._network is not None else LEASE / 2
        seed = str(self._chance.randrange(10**6))
        self._other = site.manage("disturb", seed, str(longest), stdin=subprocess.PIPE)
        for tree in self._all:
            tree.wait_until_ready()

    @property
    def _all(self) -> list[Tree]:
        return [*self._trees, *([] if self._older is None else [self._older])]

    # Blows

    def strike_each(self) -> Counter[str]:
        """Strike each blow once, in random order, while the work continues."""
        blows: dict[str, Callable[[], None]] = {
            "kills of a process": lambda: self._any().kill_a_process(self._chance),
            "kills of a supervisor": lambda: self._any().kill_supervisor(),
            "kills of a tree": lambda: self._any().kill(),
            "freezes of a tree": self._freeze,
            "rows that nobody can read": self._spoil,
        }
        if self._network is not None:
            blows |= {
                "cuts of all connections": self._network.cut,
                "answers held and then lost": lambda: self._hold(self._network.drop),
                "answers held for long": lambda: self._hold(self._network.let_go),
            }
        chosen = list(blows)
        self._chance.shuffle(chosen)
        for blow in chosen:
            self.ledger.wait_for_more(20, _PATIENCE, f"work before the blow {blow!r}")
            blows[blow]()
        self.ledger.wait_for_more(20, _PATIENCE, "work after all blows")
        return Counter(chosen)

    def _any(self) -> Tree:
        return self._chance.choice(self._all)

    def _freeze(self) -> None:
        tree = self._any()
        freeze(self.site.data, tree.freeze, tree.thaw)
        self.site.wait_for_quiet(1.5 * LEASE)
        tree.thaw()

    def _hold(self, end: Callable[[], None]) -> None:
        assert self._network is not None
        self._network.hold(0.5)
        self.site.wait_for_quiet(self._chance.uniform(1.5, 3) * LEASE)
        end()

    def _spoil(self) -> None:
        """Store rows that this version cannot read, one of each kind."""
        now = clock.now()
        jobs = [
            Job(
                new_id(now - index),
                "default",
                "jobs.rough.innocent",
                "rough",
                0,
                now - index,
                State.READY,
                None,
                arguments,
                None,
                now - index,
                options,
            )
            for index, (arguments, options) in enumerate(_UNREADABLE)
        ]
        self.site.data.store(jobs)
        self.spoiled += [job.id for job in jobs]

    # The end

    def end(self) -> None:
        """Stop the older version, wait until all calls have ended, and stop the other workers."""
        self.producers.stop()
        self._stop_other()
        if self._older is not None:
            self._older.stop()
        self._wait_until_left(0)
        for tree in self._trees:
            tree.stop()

    def _stop_other(self) -> None:
        assert self._other.stdin is not None
        self._other.stdin.close()
        assert self.site.wait(self._other, 60) == 0, self.site.output.read_text()

    def catch_up(self) -> None:
        """Have the producers rest if the workers, which are struck, are far behind."""
        if len(self._left()) > _MOST_LEFT:
            with self.producers.resting():
                self._wait_until_left(_MOST_LEFT // 4)

    def _left(self) -> list[str]:
        rows = self.site.query("SELECT id FROM mainspring_job WHERE state < 3")
        return [job_id for (job_id,) in rows if job_id not in self.spoiled]

    def _wait_until_left(self, number: int) -> None:
        # Wait for as long as there is progress.
        while (found := len(self._left())) > number:
            fewer = max(found - 20, number)
            try:
                wait_until(lambda fewer=fewer: len(self._left()) <= fewer, _PATIENCE)
            except AssertionError as error:
                jobs = [self.site.job(job_id) for job_id in self._left()[:5]]
                raise AssertionError(f"{error}; left are {jobs}; {self.site.states()}") from None

    # What must be true

    def executed_by_older(self, account: Account) -> int:
        """Return the number of executions by the older version."""
        return sum(map(self._is_older, chain.from_iterable(account.executions.values())))

    def _is_older(self, worker_id: str) -> bool:
        return self._older is not None and self._older.had(worker_id)

    def unaccounted(self, account: Account) -> dict[str, list[str]]:
        """Return the executions without a record, except those by the older version."""
        found = {
            job_id: [worker for worker in workers if not self._is_older(worker)]
            for job_id, workers in account.unaccounted().items()
        }
        return {job_id: workers for job_id, workers in found.items() if workers}

    def check_ends(self, account: Account) -> None:
        """Check that each call ended as its task should end."""
        for job in account.jobs.values():
            if job.id in self.spoiled or job.kinds.count("WorkerLost") >= MAX_CRASHES:
                continue
            if job.task == "jobs.rough.hangs":
                assert job.state == State.FAILED, job
                assert job.kinds[-1] == "TaskTimeout", job
            else:
                assert job.state == State.SUCCESSFUL, job
                assert "TaskTimeout" not in job.kinds, job

    def check_spoiled(self) -> None:
        """Check that newer rows were set aside and damaged ones failed, and that it was logged."""
        for index, job_id in enumerate(self.spoiled):
            job = self.site.job(job_id)
            if index % len(_UNREADABLE) < _NEWER:
                assert (job.state, job.workers) == (State.SCHEDULED, []), job
                assert self.site.logged(f"id={job_id} path={job.task} is set aside"), job
            else:
                assert (job.state, job.kinds[-1:]) == (State.FAILED, ["Unreadable"]), job
                assert self.site.logged(f"id={job_id} path={job.task} has failed"), job
