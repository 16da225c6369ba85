"""Worker trees, and what is done to them."""

import os
import random
import signal
from collections.abc import Mapping
from contextlib import suppress

import psutil

from tests.integration.processes import children, kill_tree
from tests.integration.sites import Site
from tests.integration.waiting import wait_until


class Tree:
    """One ``mainspring worker`` with its processes; started anew where it does not do so itself.

    ``variables`` are added to its environment.
    """

    def __init__(
        self, site: Site, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> None:
        self._site = site
        self._arguments = arguments
        self._variables = dict(variables or {})
        self._pids: set[str] = set()
        self._start()

    def _start(self) -> None:
        environment = {**self._site.environment, **self._variables}
        self._supervisor = self._site.worker(*self._arguments, env=environment)
        self._pids.add(str(self._supervisor.pid))

    @property
    def workers(self) -> list[str]:
        """The ids of its processes that are registered."""
        return [one for one in self._site.workers() if self.has(one)]

    def has(self, worker_id: str) -> bool:
        """Whether this is one of its processes."""
        return worker_id.split("-")[-2] == str(self._supervisor.pid)

    def had(self, worker_id: str) -> bool:
        """Whether this is, or was, one of its processes."""
        return worker_id.split("-")[-2] in self._pids

    def wait_until_ready(self) -> None:
        """Wait until one of its processes has registered."""
        wait_until(lambda: self.workers, 20, "the start of a worker")

    def kill_a_process(self, chance: random.Random) -> None:
        """Kill a process; the supervisor starts another."""
        found = wait_until(lambda: children(self._supervisor))
        with suppress(psutil.NoSuchProcess):
            chance.choice(found).kill()

    def kill_supervisor(self) -> None:
        """Kill the supervisor alone; its processes find out and end."""
        self._supervisor.kill()
        self._supervisor.wait()
        self._start()

    def kill(self) -> None:
        """Kill all at once."""
        kill_tree(self._supervisor)
        self._start()

    def freeze(self) -> None:
        """Stop all processes where they are, whatever they do."""
        os.killpg(self._supervisor.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        os.killpg(self._supervisor.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it as an operator would."""
        wait_until(lambda: children(self._supervisor), 20, "the tree, which may not have started")
        assert self._site.stop(self._supervisor, 15) == 0, self._site.output.read_text()
