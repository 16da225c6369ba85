"""What a competitor is: a row that says how to install it and with which settings it is run."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import mainspring

type Engine = Literal["postgresql", "redis"]


class Variant(NamedTuple):
    """One way to run the workers of a competitor; the fastest counts."""

    settings: str
    """What the table says about it."""
    workers: tuple[str, ...]
    """The command lines that are started together: 2 processes that run tasks, in all.

    The first word is a command of the competitor's environment; ``{adapter}`` stands for its
    script, ``{url}`` for where it keeps its tasks.
    """
    environment: Mapping[str, str] = {}


class Competitor(NamedTuple):
    """A queue that is measured."""

    name: str
    engine: Engine
    adapter: str
    """The script in ``adapters`` that enqueues."""
    variants: tuple[Variant, ...]
    keeps: str
    """What is left of a task once it is done: when that is stored, a drain is over."""
    packages: tuple[str, ...] = ()
    """The exact versions to install; of what is there already, none: it is Mainspring itself."""
    most_jobs: int = 1_000_000
    """How many jobs make a drain of 20 seconds, roughly."""
    environment: Mapping[str, str] = {}

    @property
    def is_ours(self) -> bool:
        """Whether this is Mainspring, which runs in the environment of the benchmark itself."""
        return not self.packages

    @property
    def version(self) -> str:
        """The version of the product itself."""
        if self.is_ours:
            return mainspring.__version__
        return next((p.split("==")[1] for p in self.packages if p.startswith(f"{self.name}==")), "")
