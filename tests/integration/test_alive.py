"""Who is taken for dead and who is not, whatever tasks and the machine do."""

import os
import sys
from collections.abc import Callable

from mainspring.core.jobs import State

from .databases import on_engines
from .processes import children, kill_tree
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


def test_a_task_that_reads_the_temporary_folder_does_not_make_its_worker_look_dead(
    site: Site,
) -> None:
    """Who closes any descriptor of a file loses all POSIX record locks on it."""
    first = site.worker("--processes=1")
    job_id = site.enqueue("jobs.alive.reads_everything", "t")
    site.wait_for_file("t.started")
    second = site.worker("--processes=1")
    wait_until(lambda: len(site.workers()) == 2)
    site.wait_for_quiet(2.5)
    site.touch("t.go")

    job = site.wait_for(job_id)
    assert (job.state, job.errors, len(job.workers)) == (State.SUCCESSFUL, [], 1)
    assert len(site.lines("t.runs")) == 1
    for worker in (first, second):
        assert site.stop(worker) == 0
    assert site.boards() == []


def test_a_child_of_a_task_does_not_make_a_dead_worker_look_alive(site: Site) -> None:
    worker = site.worker("--processes=1")
    job_id = site.enqueue("jobs.alive.leaves_child", "t")
    site.wait_for_file("t.started")
    child = int(site.wait_for_file("t.child"))
    (process,) = [one for one in children(worker) if one.pid != child]
    process.kill()

    wait_until(lambda: len(site.lines("t.runs")) == 2, 15)
    assert site.is_alive(child)
    site.touch("t.over")
    site.touch("t.go")
    job = site.wait_for(job_id)
    assert (job.state, job.kinds) == (State.SUCCESSFUL, ["WorkerLost"])
    assert site.stop(worker) == 0


FAILING_FORKS = """
import errno, os, sys
from django.core.management import execute_from_command_line

fork, left = os.fork, 2

def fail():
    global left
    if left:
        left -= 1
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.fork = fail
execute_from_command_line(["manage.py", "mainspring", "worker", *sys.argv[1:]])
"""


def test_a_fork_that_fails_is_tried_again(site: Site) -> None:
    """Where there are too many processes, or too little memory, for now."""
    worker = site.start(sys.executable, "-c", FAILING_FORKS, "--processes=1")
    told = site.wait_for_log("fork() failed: Resource temporarily unavailable", 2)
    assert {record["level"] for record in told} == {"ERROR"}

    site.enqueue("nothing")
    assert {job.state for job in site.wait_for_all()} == {State.SUCCESSFUL}
    assert site.stop(worker) == 0
    assert site.boards() == []


def test_a_folder_that_somebody_else_has_made_is_left_alone(site: Site) -> None:
    """Whoever is first in the temporary folder does not keep a user's worker from starting."""
    theirs = site.folder / "tmp" / f"mainspring-{os.getuid()}"
    theirs.mkdir(mode=0o777)
    theirs.chmod(0o777)
    workers = [site.worker("--processes=1") for _ in range(2)]
    (told, *_) = site.wait_for_log("is not a folder that only this user can write to")
    assert str(theirs) in told["message"]
    held = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    assert list(theirs.iterdir()) == []
    wait_until(lambda: len(site.workers()) == 2)

    (by,) = [worker for worker in workers if f"-{worker.pid}-" in _running(site, held)]
    kill_tree(by)  # its board is found there by the other one
    wait_until(lambda: len(site.lines("t.runs")) == 2, 15)
    site.touch("t.go")
    assert site.wait_for(held).kinds == ["WorkerLost"]


def _running(site: Site, job_id: str) -> str:
    # The worker that has a claim: its token stands in the upper half.
    ((worker_id,),) = site.query(
        "SELECT worker_id FROM mainspring_worker, mainspring_job"
        " WHERE mainspring_job.id = ? AND claim >> 32 = token",
        job_id,
    )
    return str(worker_id)


def test_two_sites_in_two_schemas_of_a_database_leave_each_other_alone(
    make_site: Callable[..., Site],
) -> None:
    """What a dead worker of one has left is for its own site, which knows what to do with it."""
    site, other = make_site("postgresql"), make_site("postgresql")
    shared = site.settings["database"]
    path = f"{shared['OPTIONS'].get('options', '')} -c search_path=another".strip()
    options = {**shared["OPTIONS"], "options": path}
    other.settings["database"] = {**shared, "OPTIONS": options}
    other.variables["TMPDIR"] = str(site.folder / "tmp")
    site.query("CREATE SCHEMA another")
    assert other.manage("migrate").wait(60) == 0, other.output.read_text()
    first = site.worker("--processes=1")
    held = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    kill_tree(first)

    others = other.worker("--processes=1")
    wait_until(lambda: site.query("SELECT worker_id FROM another.mainspring_worker"))
    other.wait_for_quiet(2.5)
    assert any(f"-{first.pid}-" in one for one in site.boards())
    worker = site.worker("--processes=1")
    wait_until(lambda: len(site.lines("t.runs")) == 2, 15)  # a lease would last for 30 s
    site.touch("t.go")
    assert site.wait_for(held).kinds == ["WorkerLost"]
    for one, by in ((site, worker), (other, others)):
        assert one.stop(by) == 0
