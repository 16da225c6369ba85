"""PostgreSQL is restarted, cleanly and not, while producers enqueue and workers work.

Short: 3 restarts. ``--long``: 100.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.account import DATABASE_ERRORS, Account, check_tidiness, wait_for_the_end
from tests.chaos.ledger import Ledger
from tests.chaos.producers import Producers
from tests.chaos.report import Report
from tests.chaos.trees import Tree
from tests.contract.stores import Stores, migrated
from tests.integration.databases import ServerDatabase
from tests.integration.sites import Site
from tests.own_postgres import EmbeddedPostgres

MODES = ("fast", "immediate")
BETWEEN = 100  # executions between two restarts


@pytest.fixture
def postgres(stores: Stores) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, as the others' is not to be restarted."""
    stores.server("postgresql")  # or skip
    with EmbeddedPostgres() as own:
        yield own


@pytest.fixture
def site(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Site]:
    """A site on it."""
    server = postgres.server
    made = Site(tmp_path, ServerDatabase(server, migrated(server)))
    yield made
    made.kill_all()
    server.close()


@pytest.mark.chaos
def test_restarts(postgres: EmbeddedPostgres, site: Site, report: Report, is_long: bool) -> None:
    restarts = 100 if is_long else 3
    ledger = Ledger(site)
    began = time.monotonic()
    tree = Tree(site, "--processes=2", "--threads=2")
    producers = Producers(site)
    for number in range(restarts):
        ledger.wait_for_more(BETWEEN, 60, f"work before restart {number + 1}")
        postgres.restart(MODES[number % len(MODES)])
    ledger.wait_for_more(BETWEEN)
    producers.stop()
    wait_for_the_end(site, ledger)
    seconds = time.monotonic() - began
    tree.stop()
    check_tidiness(site)

    account = Account.of(site, ledger)
    accepted = producers.accepted
    report.add(
        "restarts of PostgreSQL",
        {
            "restarts": restarts,
            **producers.table(account),
            **account.table(accepted),
            "seconds": seconds,
        },
    )
    # A claim and an outcome are on the disk before the worker hears of them: none is run again,
    # but for atomic tasks, which fail where the database goes away while they use it.
    account.check(accepted, DATABASE_ERRORS)
    account.check_atomic_alone(DATABASE_ERRORS)
    producers.check(account)
