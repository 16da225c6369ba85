"""The option for the long form, and the table at the end."""

import random

import pytest

from tests.chaos.report import Report
from tests.integration.conftest import engine, make_site, new_database, template

__all__ = ["engine", "make_site", "new_database", "template"]

REPORT: pytest.StashKey[Report] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--long", action="store_true", help="Chaos for an hour or two.")
    parser.addoption("--chaos-seed", type=int, help="Have chaos choose as in an earlier run.")


@pytest.fixture
def is_long(pytestconfig: pytest.Config) -> bool:
    """Whether the long form is asked for."""
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What all that is left to chance follows from, but for what the machine leaves to chance."""
    given: int | None = request.config.getoption("--chaos-seed")
    seed = random.randrange(10**6) if given is None else given
    request.node.add_report_section("call", "seed", f"--chaos-seed={seed}")
    return seed


@pytest.fixture
def chance(seed: int) -> random.Random:
    """The source of chance."""
    return random.Random(seed)


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    """What is printed at the end."""
    return pytestconfig.stash.setdefault(REPORT, Report())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print it."""
    report = terminalreporter.config.stash.get(REPORT, Report())
    if report.tables:
        terminalreporter.section("chaos")
        for line in report.lines():
            terminalreporter.write_line(line)
