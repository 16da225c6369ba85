"""The disk under the database is full for a while, and has room again; while all go on.

Short: twice, with SQLite. ``--long``: 40 times, with PostgreSQL as well.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from mainspring.core.jobs import State
from tests.chaos.account import DATABASE_ERRORS, Account, check_tidiness, wait_for_the_end
from tests.chaos.disks import Disk, PageLimit, SmallDisk
from tests.chaos.ledger import Ledger
from tests.chaos.producers import Producers
from tests.chaos.report import Report
from tests.chaos.trees import Tree
from tests.contract.stores import Stores, migrated
from tests.integration.databases import ServerDatabase, SqliteFile
from tests.integration.sites import Site
from tests.integration.waiting import wait_until
from tests.own_postgres import EmbeddedPostgres

EXPLANATION = "cannot grow, as the disk is full; free some space"


class OnDisk(NamedTuple):
    """A site whose database, and nothing else, is on a disk that can be filled."""

    site: Site
    disk: Disk
    postgres: EmbeddedPostgres | None = None

    def free(self) -> None:
        """Make room, as an operator would, who also starts a server that has given up."""
        self.disk.free()
        if self.postgres is not None and not self.postgres.is_running:
            self.postgres.start()


class SqliteOnDisk(SqliteFile):
    """A file that is not in the site's folder."""

    @property
    def settings(self) -> dict[str, Any]:
        """The entry of ``DATABASES``."""
        options = {"transaction_mode": "IMMEDIATE"}
        engine = "django.db.backends.sqlite3"
        return {"ENGINE": engine, "NAME": str(self.path), "OPTIONS": options}


def sqlite_on_disk(folder: Path, template: Path, stack: ExitStack) -> OnDisk:
    """Make one on a real disk, where we may mount it."""
    try:
        disk = stack.enter_context(SmallDisk(64))
    except PermissionError:
        site = Site(folder, SqliteFile(folder / "db.sqlite3", template), wrapper="flaky")
        return OnDisk(site, PageLimit(folder / "full"))
    return OnDisk(Site(folder, SqliteOnDisk(disk.folder / "db.sqlite3", template)), disk)


def postgresql_on_disk(folder: Path, stores: Stores, stack: ExitStack) -> OnDisk:
    """Make one with a server of its own."""
    stores.server("postgresql")  # or skip
    try:
        disk = stack.enter_context(SmallDisk(256))
    except PermissionError as error:
        pytest.skip(str(error))
    postgres = stack.enter_context(EmbeddedPostgres(disk.folder))
    stack.callback(postgres.server.close)
    data = ServerDatabase(postgres.server, migrated(postgres.server))
    return OnDisk(Site(folder, data), disk, postgres)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases."""
    is_long = metafunc.config.getoption("--long")
    metafunc.parametrize("engine", ["sqlite", "postgresql"] if is_long else ["sqlite"])


@pytest.fixture
def place(engine: str, tmp_path: Path, template: Path, stores: Stores) -> Iterator[OnDisk]:
    """A site with its database on a disk."""
    with ExitStack() as stack:
        made = (
            sqlite_on_disk(tmp_path, template, stack)
            if engine == "sqlite"
            else postgresql_on_disk(tmp_path, stores, stack)
        )
        yield made
        made.site.kill_all()
    shutil.rmtree(tmp_path, ignore_errors=True)


def complaints(site: Site) -> list[Any]:
    """Return what workers have said of a database that they cannot use.

    A server that cannot even write its log of transactions ends, and that is what they say then.
    """
    return site.logged("goes on trying")


def is_settled(site: Site, job_id: str) -> bool:
    """Whether a call was successful, as far as the database answers."""
    with suppress(psycopg.Error):
        return site.job(job_id).state == State.SUCCESSFUL
    return False


@pytest.mark.chaos
def test_full_disk(place: OnDisk, engine: str, report: Report, is_long: bool) -> None:
    times = 40 if is_long else 2
    site, disk, _ = place
    ledger = Ledger(site)
    began = time.monotonic()
    tree = Tree(site, "--processes=2", "--threads=2")
    producers = Producers(site)
    held: list[str] = []
    for number in range(times):
        ledger.wait_for_more(50)
        held.append(site.enqueue("jobs.chaos.until", f"gate{number}", priority=50))
        wait_until(lambda: ledger.workers_of(held[-1]), 60, "the start of one that is to end")
        told = len(complaints(site))
        disk.fill()
        producers.wait_until_refused()
        site.touch(f"gate{number}")
        wait_until(
            # The database may have found some room in its own files.
            lambda told=told: len(complaints(site)) > told or is_settled(site, held[-1]),
            60,
            "an outcome that cannot be settled, or is",
        )
        place.free()
    ledger.wait_for_more(50)
    producers.stop()
    wait_for_the_end(site, ledger)
    seconds = time.monotonic() - began
    tree.stop()
    check_tidiness(site)

    account = Account.of(site, ledger)
    accepted = [*producers.accepted, *held]
    report.add(
        f"a full disk: {engine}, {disk.name}",
        {
            "times": times,
            **producers.table(account),
            **account.table(accepted),
            "workers that said that they could not use it": len(complaints(site)),
            "seconds": seconds,
        },
    )
    account.check(accepted, DATABASE_ERRORS)
    account.check_atomic_alone(DATABASE_ERRORS)
    producers.check(account)
    assert any(EXPLANATION in line for line in producers.refused)
    assert engine != "sqlite" or all(EXPLANATION in line for line in producers.refused)
