"""Who is taken for dead and who is not, whatever tasks and the machine do."""

from collections.abc import Callable

from mainspring.core.jobs import State

from .databases import on_engines
from .processes import kill_tree
from .sites import Site
from .waiting import wait_until


def elsewhere(site: Site, *args: str) -> Callable[[], None]:
    """Start a worker as on another host, whose boards nobody here sees; return what ends it."""
    folder = site.folder / "another_tmp"
    folder.mkdir(exist_ok=True)
    site.variables["TMPDIR"] = str(folder)
    worker = site.worker(*args)
    del site.variables["TMPDIR"]
    return lambda: kill_tree(worker)


@on_engines
def test_processes_that_end_before_a_lease_does_rescue_a_dead_host(
    make_site: Callable[..., Site],
) -> None:
    """What each has seen of the lease is known to the next one."""
    site = make_site(options={"LEASE": 2})
    kill = elsewhere(site, "--processes=1")
    held = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    kill()
    short = [("sleep", 0.05)] * 300
    ids = site.enqueue_all(short, priority=1)

    worker = site.worker("--processes=1", "--max-tasks=2")
    wait_until(lambda: site.job(held).kinds == ["WorkerLost"], 30)

    states = site.states()
    assert states[State.READY] > 1, "the processes have had to live for longer"
    assert "its lease has ended" in site.job(held).errors[0][1]
    ran_by = {site.job(one).workers[0] for one in ids if site.job(one).workers}
    assert len(ran_by) > 3
    kill_tree(worker)
