"""Fixtures that every test may use."""

import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.stores import Stores
    from tests.servers import Servers

# The same examples each time, so that a run fails for what was changed; with
# ``--hypothesis-profile=default``, new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")


_bytecode: str | None = None


def pytest_configure() -> None:
    """Have the processes that tests start compile what they import once, not each of them.

    Where PYTHONDONTWRITEBYTECODE is set, each would take a second of processor time for it. The
    files are kept in a folder of this run's own, which xdist's workers inherit.
    """
    global _bytecode  # pytest_unconfigure gets nothing else
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        _bytecode = tempfile.mkdtemp(prefix="mainspring-bytecode-")
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = _bytecode
        sys.dont_write_bytecode = False


def pytest_unconfigure() -> None:
    """Remove what :func:`pytest_configure` has made."""
    if _bytecode is not None:
        shutil.rmtree(_bytecode, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> "Iterator[Servers]":
    """The servers that tests run on; each is started or found at its first use."""
    from tests.servers import servers

    with servers() as found:
        yield found


@pytest.fixture(scope="session")
def stores(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any, servers: "Servers"
) -> "Iterator[Stores]":
    """What opens stores, each new and empty."""
    from tests.contract.stores import Stores

    with django_db_blocker.unblock():
        yield Stores(tmp_path_factory.mktemp("stores"), servers)
