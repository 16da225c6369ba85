"""Everything at once: what can happen to a queue happens, at random, for a while.

Processes, supervisors and whole trees are killed and frozen, each process is replaced after 50
tasks, tasks fork and hang, others lock and write rows of jobs that run, rows come that nobody can
read, the network cuts and holds answers for longer than the lease, and workers of an older version
take part. Nothing may be stuck or lost, and each repetition has its reason on record.

Short: each of it once or twice. ``--long``: 10 minutes on each database.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.account import DATABASE_ERRORS, Account, check_tidiness
from tests.chaos.report import Report
from tests.chaos.storm import LEASE, Storm
from tests.chaos.test_network import FarDatabase
from tests.contract.stores import Stores
from tests.integration.databases import SqliteFile
from tests.integration.sites import Site

LONG = 600  # seconds


@pytest.fixture
def storm(
    request: pytest.FixtureRequest,
    stores: Stores,
    template: Path,
    tmp_path: Path,
    chance: random.Random,
) -> Iterator[Storm]:
    """A storm over a site whose database is where the parameter says."""
    options = {"LEASE": LEASE, "GRACE": 1}
    if request.param == "sqlite":
        site = Site(tmp_path, SqliteFile(tmp_path / "db.sqlite3", template), options=options)
        yield Storm(site, None, chance)
        site.kill_all()
        return
    far = FarDatabase(stores, request.param, chance)
    with far.network:
        site = Site(tmp_path, far, options=options)
        yield Storm(site, far.network, chance)
        site.kill_all()
    far.drop()


@pytest.mark.chaos
@pytest.mark.parametrize("storm", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_all_at_once(
    storm: Storm,
    request: pytest.FixtureRequest,
    report: Report,
    is_long: bool,
    seed: int,
) -> None:
    began = time.monotonic()
    storm.begin()
    blows = storm.strike_each()
    while is_long and time.monotonic() - began < LONG:
        storm.catch_up()
        blows += storm.strike_each()
    storm.end()
    seconds = time.monotonic() - began

    account = Account.of(storm.site, storm.ledger, storm.spoiled)
    accepted = storm.producers.accepted
    unaccounted = storm.unaccounted(account)
    report.add(
        f"all at once, {request.node.callspec.params['storm']}",
        {
            "blows": blows.total(),
            **{f"  {blow}": number for blow, number in sorted(blows.items())},
            "rows locked or written by others": len(storm.site.lines("disturbed")),
            "rows that nobody can read": len(storm.spoiled),
            "executions by the older version": storm.executed_by_older(account),
            **storm.producers.table(account),
            **account.table(accepted),
            "executions that nothing accounts for": len(unaccounted),
            "seconds": seconds,
            "seed": seed,
        },
    )
    check_tidiness(storm.site)
    storm.check_spoiled()
    assert account.lost(accepted) == set()
    assert unaccounted == {}
    assert set(account.errors) <= {
        *("WorkerLost", "OutcomeLost", "TaskTimeout", "Unreadable"),
        *DATABASE_ERRORS,
    }
    account.check_atomic_alone(DATABASE_ERRORS)
    storm.producers.check(account)
    storm.check_ends(account)
