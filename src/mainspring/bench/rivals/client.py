"""Our end of the lines of JSON that tell a competitor's adapter what to do."""

import json
import select
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mainspring.bench.rivals.processes import last_words

if TYPE_CHECKING:
    import subprocess

_SECONDS_TO_ANSWER: Final = 180


class CompetitorError(Exception):
    """A competitor did not do what it was told; says what it did, in one line."""


class Client:
    """The adapter that runs in ``process``, and writes to the file ``log`` what went wrong."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdin  # noqa: S101
        assert process.stdout  # noqa: S101
        self._process, self._log = process, log
        self._requests, self._answers = process.stdin, process.stdout

    def prepare(self) -> str:
        """Make its database afresh; return the server's name and version."""
        return str(self._ask("prepare"))

    def open(self) -> None:
        """Connect to what was prepared before."""
        self._ask("open")

    def enqueue(self, number: int) -> float:
        """Enqueue ``number`` tasks, one at a time; return the seconds that took."""
        return float(self._ask("one_by_one", number=number))

    def has_bulk(self) -> bool:
        """Whether there is a bulk call."""
        return bool(self._ask("has_bulk"))

    def enqueue_many(self, number: int) -> float:
        """Enqueue ``number`` tasks with the bulk call; return the seconds that took."""
        return float(self._ask("bulk", number=number))

    def probe(self, number: int, gap: float) -> None:
        """Enqueue ``number`` tasks that tell when they start, about ``gap`` seconds apart."""
        self._ask("probe", number=number, gap=gap)

    def stored(self) -> int | None:
        """Return how many tasks are done and stored; None where nothing is."""
        value = self._ask("stored")
        return None if value is None else int(value)

    def empty(self) -> None:
        """Delete all tasks and results."""
        self._ask("empty")

    def drop(self) -> None:
        """Remove its database."""
        self._ask("drop")

    def _ask(self, command: str, **arguments: Any) -> Any:
        try:
            print(json.dumps({"do": command, **arguments}), file=self._requests, flush=True)
        except BrokenPipeError:
            raise CompetitorError(self._end(command)) from None
        if not select.select([self._answers], [], [], _SECONDS_TO_ANSWER)[0]:
            raise CompetitorError(f"{command}: no answer within {_SECONDS_TO_ANSWER} s")
        line = self._answers.readline()
        if not line:
            raise CompetitorError(self._end(command))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CompetitorError(f"{command}: {' '.join(answer['error'].split())}")
        return answer["value"]

    def _end(self, command: str) -> str:
        return f"{command}: the adapter ended: {last_words(self._log)}"
