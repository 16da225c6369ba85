"""The network between all and the database delays, holds, drops and cuts, at random.

Short: 5 blows. ``--long``: 200.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.account import DATABASE_ERRORS, Account, check_tidiness, wait_for_the_end
from tests.chaos.bad_network import BadNetwork
from tests.chaos.ledger import Ledger
from tests.chaos.producers import Producers
from tests.chaos.report import Report
from tests.chaos.trees import Tree
from tests.contract.stores import Stores
from tests.integration.databases import ServerDatabase
from tests.integration.sites import Site
from tests.integration.waiting import wait_until

LEASE = 1  # seconds
BLOWS = ("slow", "cut", "drop", "hold", "cut")


class FarDatabase(ServerDatabase):
    """A database behind a bad network; the test itself uses another way."""

    def __init__(self, stores: Stores, engine: str, chance: random.Random) -> None:
        server = stores.server(engine)
        super().__init__(server, stores.server_template(engine))
        self.engine = engine
        near = super().settings
        self.network = BadNetwork(near["HOST"], int(near["PORT"]), chance)

    @property
    def settings(self) -> dict[str, Any]:
        """The entry of ``DATABASES``, for those who come through the network."""
        return {**super().settings, "HOST": self.network.host, "PORT": str(self.network.port)}


@pytest.fixture
def far(
    stores: Stores, request: pytest.FixtureRequest, chance: random.Random
) -> Iterator[FarDatabase]:
    """A database on the server that the parameter names."""
    made = FarDatabase(stores, request.param, chance)
    with made.network:
        yield made
    made.drop()


@pytest.fixture
def site(far: FarDatabase, tmp_path: Path) -> Iterator[Site]:
    """A site with it."""
    made = Site(tmp_path, far, options={"LEASE": LEASE})
    yield made
    made.kill_all()


def strike(blow: str, network: BadNetwork, ledger: Ledger, site: Site) -> None:
    """Do one of ``BLOWS``."""
    if blow == "slow":
        network.slow_down(0.05)
        ledger.wait_for_more(20)
        network.slow_down(0)
    elif blow == "cut":
        cuts = sum(network.done.values())
        network.cut()
        # There may be few connections just now, as all were cut a moment ago.
        wait_until(
            lambda: sum(network.done.values()) >= cuts + 4 or not network.left_to_cut(),
            60,
            "cuts",
        )
    else:
        network.hold(0.5)
        site.wait_for_quiet(1.5 * LEASE)
        if blow == "drop":
            network.drop()
        else:
            network.let_go()


@pytest.mark.chaos
@pytest.mark.parametrize("far", ["postgresql", "mariadb"], indirect=True)
def test_network(
    far: FarDatabase, site: Site, report: Report, is_long: bool, seed: int, chance: random.Random
) -> None:
    blows = list(BLOWS) * (40 if is_long else 1)
    chance.shuffle(blows)
    ledger = Ledger(site)
    began = time.monotonic()
    trees = [Tree(site, "--processes=1", "--threads=2") for _ in range(2)]
    producers = Producers(site)
    for blow in blows:
        ledger.wait_for_more(25, 60, f"work before the blow {blow!r}")
        strike(blow, far.network, ledger, site)
    ledger.wait_for_more(25)
    producers.stop()
    wait_for_the_end(site, ledger)
    seconds = time.monotonic() - began
    for tree in trees:
        tree.stop()
    check_tidiness(site)

    account = Account.of(site, ledger)
    accepted = producers.accepted
    report.add(
        f"a bad network, {far.engine}",
        {
            "blows": len(blows),
            **{f"  {what}": number for what, number in sorted(far.network.done.items())},
            **producers.table(account),
            **account.table(accepted),
            "outcomes that came late and were dropped": len(site.logged("drops its outcome")),
            "seconds": seconds,
            "seed": seed,
        },
    )
    account.check(accepted, {"WorkerLost", *DATABASE_ERRORS})
    account.check_atomic_alone(DATABASE_ERRORS)
    producers.check(account)
