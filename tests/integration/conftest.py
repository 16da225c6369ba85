"""Fixtures of the tests with real processes, and of those of DatabaseBackend inside this one."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.stores import SQLITE, Store, Stores

from .databases import ServerDatabase, SiteDatabase, SqliteFile
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


def _makes_sites(
    folder: Path, new_database: Callable[[str, Path], SiteDatabase], default_engine: str
) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(engine: str = default_engine, **settings: Any) -> Site:
        own = folder / f"site{len(made)}"
        own.mkdir(exist_ok=True)  # left by a site whose server is not there
        made.append(Site(own, new_database(engine, own), **settings))
        return made[-1]

    yield make
    for site in made:
        site.kill_all()
        site.data.drop()
        shutil.rmtree(site.folder, ignore_errors=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Where the site's database is: see ``on_engines``."""
    return getattr(request, "param", "sqlite")


@pytest.fixture(scope="session")
def new_database(template: Path, stores: Stores) -> Callable[[str, Path], SiteDatabase]:
    """A function that makes a database with tables on an engine, for a site in a folder."""

    def new(engine: str, folder: Path) -> SiteDatabase:
        if engine == "sqlite":
            return SqliteFile(folder / "db.sqlite3", template)
        return ServerDatabase(stores.server(engine), stores.server_template(engine))

    return new


@pytest.fixture
def make_site(
    tmp_path: Path, engine: str, new_database: Callable[[str, Path], SiteDatabase]
) -> Iterator[Callable[..., Site]]:
    """A function that makes a site with these settings; its processes end with the test."""
    yield from _makes_sites(tmp_path, new_database, engine)


@pytest.fixture(scope="module")
def make_sites(
    tmp_path_factory: pytest.TempPathFactory,
    new_database: Callable[[str, Path], SiteDatabase],
) -> Iterator[Callable[..., Site]]:
    """The same for sites that the tests of a module share."""
    yield from _makes_sites(tmp_path_factory.mktemp("sites"), new_database, "sqlite")


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
    monkeypatch.setattr("mainspring.backends.database.patience._PATIENCE", 0.05)
    monkeypatch.setattr("mainspring.backends.database.vendors.sqlite._BUSY_TIMEOUT", 0.02)
