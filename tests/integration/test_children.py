"""Processes that tasks start: nothing of the worker acts in them."""

import os
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest

from mainspring.core.jobs import State

from .databases import on_engines
from .processes import children, kill_tree
from .sites import Seen, Site
from .waiting import wait_until

STATUS = {"exits": 3, "raises": 1, "returns": 0, "ends at once": 4}


@pytest.fixture(scope="module", params=[1, 2], ids=["main-thread", "threads"])
def shared(request: pytest.FixtureRequest, make_sites: Callable[..., Site]) -> Iterator[Site]:
    """A site with one worker, which has to live through all tests."""
    site = make_sites()
    worker = site.worker("--processes=1", f"--threads={request.param}")
    wait_until(site.workers)
    yield site
    (process,) = children(worker)
    assert site.stop(worker) == 0
    assert not process.is_running()
    assert len({one for job in site.jobs() for one in job.workers}) == 1
    assert not site.logged("ended with")
    assert not site.logged("drops its outcome")
    assert site.boards() == []


def run(site: Site, name: str, *args: object) -> Seen:
    """Run a task of ``jobs.children``; check that it was run once, and that others are as well."""
    others = site.enqueue_all([("ledger",)] * 3)
    seen = site.wait_for(site.enqueue(f"jobs.children.{name}", *args))
    others += site.enqueue_all([("ledger",)] * 3)
    for one in others:
        assert site.wait_for(one).state == State.SUCCESSFUL
    ran = [words[0] for words in site.lines()]
    assert len(ran) == len(set(ran))
    assert len(seen.workers) == 1
    return seen


@pytest.mark.parametrize("name", ["forks", "aforks"])
@pytest.mark.parametrize("how", STATUS)
def test_a_fork_ends_where_the_task_ends(shared: Site, name: str, how: str) -> None:
    seen = run(shared, name, how)
    assert (seen.state, seen.returned, seen.errors) == (State.SUCCESSFUL, STATUS[how], [])


def test_a_fork_of_the_event_loop_ends_when_it_awaits(shared: Site) -> None:
    seen = run(shared, "aforks", "awaits")
    assert (seen.state, seen.returned) == (State.SUCCESSFUL, 0)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(shared: Site, method: str) -> None:
    assert run(shared, "terminates", method).returned == -signal.SIGTERM
    assert run(shared, "pools", method).returned == [1, 2, 3]
    assert run(shared, "executes", method).returned == [1, 2, 3]


def test_a_pool_that_is_left_by_an_exception(shared: Site) -> None:
    seen = run(shared, "leaves_pool", "fork")
    assert (seen.state, seen.kinds) == (State.FAILED, ["LookupError"])


def test_programs(shared: Site) -> None:
    assert run(shared, "runs_program").returned == [5, 6, -signal.SIGTERM]


@on_engines
@pytest.mark.parametrize("threads", [1, 2])
def test_the_database_in_children(site: Site, threads: int) -> None:
    worker = site.worker("--processes=1", f"--threads={threads}")
    seen = run(site, "asks_in_children")
    assert seen.returned == [[7] * 20] * 4
    assert run(site, "enqueues_in_child").returned == 0
    for how in ("raises", "exits"):
        assert run(site, "forks", how).returned == STATUS[how]
    assert {job.state for job in site.wait_for_all()} == {State.SUCCESSFUL}
    assert len([job for job in site.jobs() if job.task == "nothing"]) == 5
    assert not site.logged("does not answer")
    assert site.stop(worker) == 0


@on_engines
def test_the_transaction_of_a_task_that_forks(site: Site) -> None:
    """The child leaves it, too, and this changes nothing for the parent."""
    site.execute("CREATE TABLE made (number integer)", [()])
    worker = site.worker("--processes=1")
    seen = run(site, "forks_atomically", "raises")
    assert (seen.state, seen.returned) == (State.SUCCESSFUL, 1)
    assert site.query("SELECT count(*) FROM made") == [(1,)]
    assert site.stop(worker) == 0


def test_rows_of_maps(site: Site) -> None:
    worker = site.worker("--processes=1")
    code = (
        "from jobs.children import forks\n"
        "m = forks.map(['exits', 'raises', 'returns', 'ends at once'] * 5)\n"
        "print([r.return_value for r in m.wait(60)])"
    )
    process = site.manage("shell", "--no-imports", "-c", code)
    assert process.wait(60) == 0, site.output.read_text()
    assert str([3, 1, 0, 4] * 5) in site.output.read_text()
    assert site.stop(worker) == 0
    assert not site.logged("ended with")


@on_engines
def test_a_child_that_outlives_its_worker(site: Site) -> None:
    """It keeps neither the worker's lock nor its session: what the worker ran is run again."""
    site.execute("CREATE TABLE made (number integer)", [()])
    site.execute("INSERT INTO made (number) VALUES (?)", [(0,)])
    worker = site.worker("--processes=1")
    job_id = site.enqueue("jobs.children.leaves_child", "t")
    site.wait_for_file("t.started")
    (process,) = children(worker)
    process.kill()
    wait_until(lambda: len(site.lines("children")) == 2)
    site.touch("t.go")

    job = site.wait_for(job_id)
    assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["WorkerLost"], 2)
    first = int(site.lines("children")[0][0])
    assert psutil.pid_exists(first)
    os.kill(first, signal.SIGKILL)
    assert site.stop(worker) == 0


@pytest.mark.parametrize("how", ["ends", "crashes"])
def test_the_end_of_a_child_is_no_trace_of_the_workers(site: Site, how: str) -> None:
    """Where the worker is killed afterwards, nobody can tell whose doing it was."""
    worker = site.worker("--processes=1", "--threads=2")
    ids = site.enqueue_all([("jobs.children.child_ends", how, "a"), ("hold", "b")])
    exit_code = site.wait_for_file("a.started")
    assert exit_code == ("0" if how == "ends" else str(-signal.SIGSEGV))
    site.wait_for_file("b.started")
    (process,) = children(worker)
    process.kill()
    for one in ids:
        wait_until(lambda one=one: site.job(one).errors)
    for name in "ab":
        site.touch(f"{name}.go")
    for one in ids:
        assert site.wait_for(one).kinds == ["WorkerLost"]
    kill_tree(worker)
