"""The option for the long form, and the table at the end."""

import random
from collections.abc import Callable

import pytest

from tests.chaos.report import Report, Table, lines
from tests.integration.conftest import engine, make_site, new_database, template

__all__ = ["engine", "make_site", "new_database", "template"]

PROPERTY = "chaos"


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
def report(record_property: Callable[[str, object], None]) -> Report:
    """What is printed at the end, whichever process runs the test."""
    return Report(lambda run, rows: record_property(PROPERTY, (run, rows)))


class Tables:
    """Gathers the tables of all tests and prints them at the end."""

    def __init__(self) -> None:
        self._tables: list[Table] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take those of one test."""
        if report.when == "call":
            self._tables += [value for name, value in report.user_properties if name == PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print all."""
        if self._tables:
            terminalreporter.section("chaos")
            for line in lines(self._tables):
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Have them gathered."""
    config.pluginmanager.register(Tables())
