"""Replacing processes: after so many tasks, above so much memory, when code changes."""

import signal
from collections import Counter
from collections.abc import Callable

import pytest

from mainspring.core.jobs import State

from .processes import children
from .sites import Site
from .test_worker_code import make_late_app
from .waiting import wait_until

ANSWER = """
from mainspring import task

@task
def late() -> str:
    return {answer!r}
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_max_tasks(site: Site, threads: int) -> None:
    """Processes are replaced after about so many tasks; no task is lost or runs twice."""
    worker = site.worker("--processes=2", "--max-tasks=20", f"--threads={threads}")
    site.enqueue_all([("ledger",), ("aledger",)] * 100)

    jobs = site.wait_for_all()

    assert len(site.lines()) == 200
    assert {(job.state, len(job.workers), len(job.errors)) for job in jobs} == {
        (State.SUCCESSFUL, 1, 0)
    }
    per_worker = Counter(job.workers[0] for job in jobs)
    assert len(per_worker) >= 9
    assert max(per_worker.values()) <= 22
    assert len({pid for _, _, pid, _ in site.lines()}) == len(per_worker)
    assert site.logged("ended with") == []
    assert site.stop(worker) == 0
    assert site.boards() == []


def test_max_memory(site: Site) -> None:
    worker = site.worker("--processes=1", "--max-memory=200")
    first = site.wait_for(site.enqueue("grow", 10)).returned
    assert site.wait_for(site.enqueue("process")).returned == first

    site.enqueue("grow", 200)
    (told,) = site.wait_for_log("MB of memory")
    wait_until(lambda: [child.pid for child in children(worker)] not in ([], [first]))

    assert told["extra"]["worker_id"] == site.jobs()[0].workers[0]
    assert site.wait_for(site.enqueue("process")).returned != first
    assert site.logged("ended with") == []
    assert site.stop(worker) == 0


def test_max_memory_that_is_too_little(site: Site) -> None:
    """Each process still runs something before it is replaced."""
    worker = site.worker("--processes=1", "--max-memory=1")
    wait_until(site.workers)
    site.wait_for_quiet(1.2)
    assert site.logged("MB of memory") == []

    site.enqueue_all([("nothing",)] * 30)

    assert {job.state for job in site.wait_for_all()} == {State.SUCCESSFUL}
    site.wait_for_log("MB of memory")
    assert site.stop(worker) == 0


def test_max_memory_while_a_task_runs(site: Site) -> None:
    """It is told once, and the task finishes."""
    worker = site.worker("--processes=1", "--max-memory=150", "--queues=first,second")
    site.enqueue_together(first=[("grow", 200)], second=[("hold", "t")])
    site.wait_for_file("t.started")
    site.wait_for_log("MB of memory")
    site.wait_for_quiet(1.5)
    site.touch("t.go")

    assert {(job.state, len(job.workers)) for job in site.wait_for_all()} == {(State.SUCCESSFUL, 1)}
    assert len(site.logged("MB of memory")) == 1
    assert site.stop(worker) == 0


@pytest.fixture
def late_site(make_site: Callable[..., Site]) -> Site:
    """A site with an app that tests rewrite."""
    site = make_site(apps=["lateapp"])
    make_late_app(site, ANSWER.format(answer="first"))
    return site


def late(site: Site) -> str:
    """Return what the task of the app returns now."""
    returned: str = site.wait_for(site.enqueue("lateapp.tasks.late")).returned
    return returned


def test_reload(late_site: Site) -> None:
    site = late_site
    worker = site.worker("--processes=1", "--reload")
    assert late(site) == "first"
    held = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    site.wait_for_quiet(1.1)  # until the files' times have been seen once

    make_late_app(site, ANSWER.format(answer="the second"))
    site.wait_for_log("files have changed")
    assert site.job(held).state == State.RUNNING
    site.touch("t.go")

    job = site.wait_for(held)
    assert (job.state, len(job.workers)) == (State.SUCCESSFUL, 1)
    assert late(site) == "the second"
    assert site.stop(worker) == 0
    assert site.workers() == []


def test_reload_of_what_does_not_start(late_site: Site) -> None:
    """Half an edit does not end it."""
    site = late_site
    worker = site.worker("--processes=1", "--reload")
    assert late(site) == "first"
    site.wait_for_quiet(1.1)

    init = site.folder / "lateapp" / "__init__.py"
    init.write_text("def (:\n")
    wait_until(lambda: "starting anew when code changes" in site.output.read_text())
    assert "SyntaxError" in site.output.read_text()
    site.wait_for_quiet(1.1)
    init.write_text("")
    make_late_app(site, ANSWER.format(answer="the second"))

    assert late(site) == "the second"
    assert site.stop(worker) == 0


def test_reload_while_a_task_takes_too_long(late_site: Site) -> None:
    site = late_site
    worker = site.worker("--processes=1", "--reload", "--shutdown-timeout=0.3")
    held = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    site.wait_for_quiet(1.1)

    make_late_app(site, ANSWER.format(answer="the second"))
    wait_until(lambda: len(site.lines("t.runs")) == 2)
    site.touch("t.go")

    job = site.wait_for(held)
    assert (job.state, job.kinds) == (State.SUCCESSFUL, ["WorkerStopped"])
    assert site.stop(worker) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_with_reload(site: Site, number: signal.Signals) -> None:
    """What runs finishes, as without it."""
    worker = site.worker("--processes=1", "--reload")
    held = site.enqueue("hold", "t")
    site.wait_for_file("t.started")

    worker.send_signal(number)
    site.wait_for_log("Stopping")
    site.touch("t.go")

    assert worker.wait(5) == 0
    assert site.job(held).state == State.SUCCESSFUL
    assert site.workers() == []
    assert "Traceback" not in site.output.read_text()
