"""What a worker claims, with real processes: nothing is lost between it and the database."""

from collections.abc import Callable

import pytest

from mainspring.core.jobs import State

from .databases import on_engines
from .sites import Site

LEASE = 1  # seconds


@pytest.fixture
def lossy(make_site: Callable[..., Site]) -> Site:
    """A site with the app ``outage``."""
    return make_site(apps=["outage"], options={"LEASE": LEASE})


@on_engines
@pytest.mark.parametrize("args", [(), ("--threads=3",)], ids=["inline", "threads"])
def test_a_claim_whose_answer_is_lost_is_given_back_after_an_outage_of_two_leases(
    lossy: Site, args: tuple[str, ...]
) -> None:
    worker = lossy.worker("--processes=1", *args)
    lossy.wait_for(lossy.enqueue("nothing"))
    lossy.touch("outage")
    lossy.enqueue_all([("nothing",)] * 3)
    lossy.wait_for_file("lost")
    lossy.wait_for_quiet(2 * LEASE)
    assert lossy.states()[State.RUNNING]
    (lossy.folder / "outage").unlink()
    assert {job.state for job in lossy.wait_for_all()} == {State.SUCCESSFUL}
    assert lossy.stop(worker) == 0
