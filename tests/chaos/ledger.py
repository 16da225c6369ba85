"""What tasks write down: a line for each execution, and, atomic ones, a row in the database."""

from collections import Counter, defaultdict
from pathlib import Path

from tests.integration.sites import Site
from tests.integration.waiting import wait_until


class Lines:
    """Reads a file of lines that tasks write, each line once, however many there are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.length = 0
        """How many lines have been read."""
        self.executions: defaultdict[str, list[str]] = defaultdict(list)
        """The workers that executed each call, in the order of their lines."""

    def read(self) -> int:
        """Read what is new; return how many lines there are."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                lines, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return 0
        self._read += len(lines) + len(end)
        for line in lines.decode().splitlines():
            job_id, worker_id, *_ = line.split()
            self.executions[job_id].append(worker_id)
            self.length += 1
        return self.length

    def wait_for(self, number: float, timeout: float = 60, what: str = "") -> None:
        """Wait until there are so many lines."""
        wait_until(lambda: self.read() >= number, timeout, what or f"{number} executions")

    def wait_for_more(self, number: int, timeout: float = 60, what: str = "") -> None:
        """Wait for so many lines more."""
        self.wait_for(self.read() + number, timeout, what)

    def workers_of(self, job_id: str) -> list[str]:
        """Return the workers that have executed a call so far."""
        self.read()
        return self.executions[job_id]


class Ledger(Lines):
    """The ledger of a site: each task writes a line before it does anything else."""

    def __init__(self, site: Site) -> None:
        """Make the table for atomic tasks, too, each of which writes a row beside its line."""
        super().__init__(site.folder / "ledger")
        self._site = site
        site.query("CREATE TABLE ledger (job_id varchar(32))")

    def rows(self) -> Counter[str]:
        """Return how many rows there are of each call."""
        return Counter(job_id for (job_id,) in self._site.query("SELECT job_id FROM ledger"))
