"""Fixtures of the tests with real processes, and of those of DatabaseBackend inside this one."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.stores import SQLITE, Store, Stores

from .sites import Site


@pytest.fixture(scope="session", autouse=True)
def _can_be_interrupted() -> None:
    """Where pytest runs in the background, SIGINT is ignored, also by what it starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables, to be copied."""
    site = Site(tmp_path_factory.mktemp("template"))
    assert site.manage("migrate").wait(60) == 0, site.output.read_text()
    return site.database


def _makes_sites(folder: Path, template: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        own = folder / f"site{len(made)}"
        own.mkdir()
        made.append(Site(own, template, **settings))
        return made[-1]

    yield make
    for site in made:
        site.kill_all()
        shutil.rmtree(site.folder, ignore_errors=True)


@pytest.fixture
def make_site(tmp_path: Path, template: Path) -> Iterator[Callable[..., Site]]:
    """A function that makes a site with these settings; its processes end with the test."""
    yield from _makes_sites(tmp_path, template)


@pytest.fixture(scope="module")
def make_sites(
    tmp_path_factory: pytest.TempPathFactory, template: Path
) -> Iterator[Callable[..., Site]]:
    """The same for sites that the tests of a module share."""
    yield from _makes_sites(tmp_path_factory.mktemp("sites"), template)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site with the default settings."""
    return make_site()


@pytest.fixture
def store(stores: Stores, tmp_path: Path) -> Iterator[Store]:
    """A new and empty SQLite database with the tables."""
    with stores.open(SQLITE, tmp_path) as opened:
        yield opened


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other writers are waited for for an instant only."""
    monkeypatch.setattr("mainspring.backends.database.storage._PATIENCE", 0.05)
    monkeypatch.setattr("mainspring.backends.database.vendors.sqlite._BUSY_TIMEOUT", 0.02)
