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


@on_engines
def test_a_claim_of_large_jobs_does_not_bring_all_of_them(site: Site) -> None:
    """After small ones, of which a worker has learned to claim a thousand at a time."""
    number, size = 100, 2_000_000
    worker = site.worker("--processes=1")
    site.enqueue_all([("nothing",)] * 3000)
    site.wait_for_all(60)
    before = site.wait_for(site.enqueue("peak")).returned
    calls = site.enqueue_all([("now", "x" * size)] * number)
    site.wait_for_all(120)
    after = site.wait_for(site.enqueue("peak")).returned
    assert site.job(calls[0]).state == State.SUCCESSFUL
    assert (after - before) * 1024 < number * size * 0.6
    assert site.stop(worker) == 0
