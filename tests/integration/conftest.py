"""Fixtures of the tests with real processes."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .sites import Site


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
