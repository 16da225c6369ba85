"""Test each thing that a task may leave behind, for each way to run it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.sites import Site
from tests.isolation.matrix import MATRIX, WAYS, End

_DOCS = Path(__file__).parents[2] / "docs" / "reference" / "isolation.md"
_ENGINES = ("sqlite", "postgresql", "mariadb")
_OF_DATABASES = 9  # the first things of the matrix, which differ from engine to engine
_WORKERS = {
    "plain": (),
    "row of a map": (),
    "merge": (),
    "atomic": (),
    "thread": ("--threads=2",),
    "async": (),
}
_TASKS = {
    "immediate": {"BACKEND": "mainspring.backends.immediate.ImmediateBackend", "QUEUES": []},
    "memory": {"BACKEND": "mainspring.backends.memory.MemoryBackend", "QUEUES": []},
}


class Run(NamedTuple):
    """The results of one way to run tasks on one engine."""

    seen: dict[str, Any]

    def end(self, thing: str) -> End:
        """Return what became of a thing."""
        before, after, error = self.seen[thing]
        if any(found != before for found in after):
            return End.STAYS
        return End.REFUSED if error not in {"", "LookupError"} else End.RESTORED


@pytest.fixture(scope="module")
def run(make_sites: Callable[..., Site]) -> Callable[[str, str], Run]:
    """Return a function that tries all things in one way on one engine, once for all tests."""
    runs: dict[tuple[str, str], Run] = {}

    def run(way: str, engine: str) -> Run:
        if (way, engine) not in runs:
            runs[way, engine] = _run(make_sites, way, engine)
        return runs[way, engine]

    return run


def _run(make_sites: Callable[..., Site], way: str, engine: str) -> Run:
    options = {"EMBEDDED": True} if way == "embedded" else {"ORDER": "fifo"}
    # Connections persist between requests, and so between tasks, unless a task changes them.
    settings = {"CONN_MAX_AGE": None}
    site = make_sites(engine, options=options, tasks=_TASKS, connections=settings)
    site.execute("CREATE TABLE note (text varchar(100))", [()])
    worker = site.worker("--processes=1", *_WORKERS[way]) if way in _WORKERS else None
    code = f"from jobs.leftover_ways import tell; tell({way!r})"
    process = site.manage("shell", "--no-imports", "-c", code, stdout=subprocess.PIPE)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed + site.output.read_text()
    if worker is not None:
        assert site.stop(worker, 30) == 0
    (line,) = [one for one in printed.splitlines() if one.startswith("TOLD ")]
    return Run(json.loads(line.removeprefix("TOLD ")))


# Ordered so that the tests of one run are neighbours, because test processes get blocks of tests.
@pytest.mark.parametrize("engine", _ENGINES)
@pytest.mark.parametrize("way", WAYS)
def test_each_thing_comes_to_its_end(run: Callable[[str, str], Run], way: str, engine: str) -> None:
    found = run(way, engine)
    things = [one for one in MATRIX if one in found.seen]
    assert len(things) >= len(MATRIX) - _OF_DATABASES
    ends = {one: found.end(one) for one in things}
    assert ends == {one: MATRIX[one][way] for one in things}


def test_each_thing_is_tried() -> None:
    from importlib.util import find_spec  # the tasks need settings of their own

    assert find_spec("tests.isolation") is not None
    source = (Path(__file__).parents[1] / "integration/project/jobs/leftovers.py").read_text()
    for thing in MATRIX:
        assert f'"{thing}": Thing(' in source


def test_the_documentation_has_the_same_table() -> None:
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for line in _DOCS.read_text().splitlines()
        if line.startswith("| ")
    ]
    header, _rule, *body = rows[: len(MATRIX) + 2]
    assert tuple(one.strip("`") for one in header[1:]) == WAYS
    told = {row[0].replace("`", ""): [cell.partition(" ")[0] for cell in row[1:]] for row in body}
    assert told == {thing: [*ends.values()] for thing, ends in MATRIX.items()}
