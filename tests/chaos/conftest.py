"""The option for the long form, and the table at the end."""

import pytest

from tests.integration.conftest import make_site, template

__all__ = ["make_site", "template"]

TABLE: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--long``."""
    parser.addoption("--long", action="store_true", help="50 kills during 5,000 tasks.")


@pytest.fixture
def report(pytestconfig: pytest.Config) -> list[str]:
    """Lines to be printed at the end."""
    return pytestconfig.stash.setdefault(TABLE, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them."""
    lines = terminalreporter.config.stash.get(TABLE, [])
    if lines:
        terminalreporter.section("chaos")
        for line in lines:
            terminalreporter.write_line(line)
