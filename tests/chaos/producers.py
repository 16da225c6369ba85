"""Producers: processes that enqueue one call after the other, whatever becomes of the store."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.chaos.account import ATOMIC, Account
from tests.integration.sites import Site
from tests.integration.waiting import wait_until

_PAUSE = 0.02  # seconds between two calls of a producer


class Producers:
    """One ``manage.py produce`` for each of some tasks, and what they were told."""

    def __init__(self, site: Site, *tasks: str, pauses: Mapping[str, float] | None = None) -> None:
        """``pauses`` in seconds after each call, of tasks that are not to come that often."""
        self._site = site
        self._tasks = tasks or ("ledger", ATOMIC)
        pauses = pauses or {}
        self._processes = [
            site.manage(
                "produce", task, f"--pause={pauses.get(task, _PAUSE)}", stdin=subprocess.PIPE
            )
            for task in self._tasks
        ]

    @property
    def accepted(self) -> list[str]:
        """The ids of the calls that were accepted."""
        return self._lines("accepted.*")

    @property
    def refused(self) -> list[str]:
        """What they were told of each call that was not."""
        return self._lines("refused.*")

    def _lines(self, pattern: str) -> list[str]:
        files = self._site.folder.glob(pattern)
        return [line for path in files for line in path.read_text().splitlines()]

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Have them enqueue nothing during the block."""
        rest = self._site.folder / "rest"
        rest.touch()
        try:
            yield
        finally:
            rest.unlink()

    def wait_until_refused(self) -> None:
        """Wait until each of them has been refused since now."""
        before = self._refusals()
        wait_until(lambda: self._all_have_more(before), 60, "refusals of all producers")

    def _refusals(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in self._site.folder.glob("refused.*")}

    def _all_have_more(self, before: dict[str, int]) -> bool:
        now = self._refusals()
        return len(now) == len(self._processes) and all(
            size > before.get(name, 0) for name, size in now.items()
        )

    def stop(self) -> None:
        """End them."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            assert self._site.wait(process, 60) == 0, self._site.output.read_text()

    def check(self, account: Account) -> None:
        """Check that what was accepted is there, and nothing else but what was refused."""
        accepted = self.accepted
        assert len(set(accepted)) == len(accepted)
        # What was refused may have been stored, where the connection broke before the answer.
        assert len(self._unknown(account)) <= len(self.refused)

    def _unknown(self, account: Account) -> set[str]:
        # Their tasks whose ids they were not told.
        ids = {job.id for job in account.jobs.values() if job.task in self._tasks}
        return ids - set(self.accepted) - set(account.others)

    def table(self, account: Account) -> dict[str, int]:
        """Return what a run's table says of them."""
        return {
            "refused by an enqueue, which was then tried again": len(self.refused),
            "  refused, but stored": len(self._unknown(account)),
        }
