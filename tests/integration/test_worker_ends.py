"""How workers end: signals, time-outs, kills; and what becomes of what they held."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from mainspring.core.jobs import State

from .databases import on_engines, on_postgresql
from .processes import children, freeze, kill_tree
from .sites import Site, took
from .waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_lets_what_runs_finish(site: Site, number: signal.Signals, threads: int) -> None:
    worker = site.worker("--processes=1", f"--threads={threads}", "--queues=first,second")
    site.enqueue_all([("nothing",)] * 50, queue="first")  # so that it claims many at a time
    site.wait_for_all()
    names = [f"t{i}" for i in range(threads)]
    ids = site.enqueue_together(
        first=[("hold", name) for name in names], second=[("nothing",)] * 10
    )
    held = ids["first"] + ids["second"]
    for name in names:
        site.wait_for_file(f"{name}.started")

    worker.send_signal(number)
    site.wait_for_log("Stopping")
    for one in held[threads:]:  # given back at once, not only at the end
        site.wait_for(one, State.READY)
    for name in names:
        site.touch(f"{name}.go")

    assert worker.wait(5) == 0
    assert all(site.job(one).state == State.SUCCESSFUL for one in held[:threads])
    for one in held[threads:]:
        job = site.job(one)
        assert (job.state, job.workers, job.errors) == (State.READY, [], [])
    assert site.workers() == []
    assert site.boards() == []
    assert "Traceback" not in site.output.read_text()


def test_a_signal_lets_async_tasks_finish(site: Site) -> None:
    worker = site.worker("--processes=1")
    names = [f"a{i}" for i in range(5)]
    site.enqueue_all([("ahold", name) for name in names])
    for name in names:
        site.wait_for_file(f"{name}.started")

    worker.terminate()
    site.wait_for_log("Stopping")
    for name in names:
        site.touch(f"{name}.go")

    assert worker.wait(5) == 0
    assert site.states() == {State.SUCCESSFUL: 5}


def test_an_idle_worker_ends_at_once(site: Site) -> None:
    worker = site.worker("--processes=2")
    wait_until(lambda: len(site.workers()) == 2)

    assert took(lambda: site.stop(worker)) < 3  # not after a timeout, on a busy machine either
    assert site.workers() == []


def test_a_signal_while_it_starts(site: Site) -> None:
    """At whatever moment: exit status 0 and nothing left over, or not started at all."""
    for delay in (0.30, 0.34, 0.38, 0.42, 0.46):
        worker = site.worker("--processes=2")
        began = time.monotonic()
        wait_until(lambda since=began, for_=delay: time.monotonic() - since > for_)
        worker.terminate()
        assert worker.wait(5) in (0, -signal.SIGTERM)
    assert site.workers() == []
    assert site.boards() == []


def test_a_signal_to_a_single_process_replaces_it(site: Site) -> None:
    worker = site.worker("--processes=1")
    wait_until(lambda: len(site.workers()) == 1)
    (first,) = children(worker)

    first.terminate()
    wait_until(lambda: children(worker) not in ([], [first]))

    site.enqueue("nothing")
    site.wait_for_all()
    assert site.logged("ended with") == []
    assert site.stop(worker) == 0


def test_a_shutdown_that_runs_out_of_time(site: Site) -> None:
    worker = site.worker("--processes=2", "--shutdown-timeout=0.5")
    job_id = site.enqueue("hold", "t")
    site.wait_for_file("t.started")

    began = time.monotonic()
    assert site.stop(worker, timeout=5) == 1
    assert 0.5 <= time.monotonic() - began < 2.5

    job = site.job(job_id)
    assert (job.state, job.kinds, len(job.workers)) == (State.READY, ["WorkerStopped"], 1)
    assert "the shutdown ran out of time" in job.errors[0][1]
    assert site.workers() == []
    assert site.boards() == []
    site.touch("t.go")
    site.drain()
    job = site.job(job_id)
    assert (job.state, len(job.workers)) == (State.SUCCESSFUL, 2)


def test_a_second_signal_ends_at_once(site: Site) -> None:
    worker = site.worker("--processes=2", "--threads=2")
    running = site.enqueue_all([("hold", "t"), ("ahold", "a")])
    for name in "ta":
        site.wait_for_file(f"{name}.started")

    worker.send_signal(signal.SIGINT)
    site.wait_for_log("Stopping")
    worker.send_signal(signal.SIGINT)

    assert worker.wait(3) == 1
    for one in running:
        job = site.job(one)
        assert (job.state, job.kinds, len(job.workers)) == (State.READY, ["WorkerStopped"], 1)
    assert site.workers() == []
    assert site.boards() == []


@on_engines
def test_a_dead_process_is_replaced_and_costs_its_neighbours_nothing(site: Site) -> None:
    worker = site.worker("--processes=1", "--queues=first,second")
    site.enqueue_all([("nothing",)] * 100, queue="first")  # so that it claims many at a time
    site.wait_for_all()
    (first,) = children(worker)
    ids = site.enqueue_together(first=[("crash_once", "crashed")], second=[("process",)] * 20)
    (crashing,), others = ids["first"], ids["second"]

    jobs = site.wait_for_all()

    job = site.job(crashing)
    assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["WorkerLost"], 2)
    assert "killed by SIGKILL" in job.errors[0][1]
    for one in others:
        job = site.job(one)
        assert (job.state, job.errors, len(job.workers)) == (State.SUCCESSFUL, [], 1)
        assert job.returned != first.pid
    assert {len(job.workers) for job in jobs} == {1, 2}
    (told,) = site.logged("ended with SIGKILL")
    assert told["level"] == "ERROR"
    assert told["extra"]["exit_code"] == -9
    (rescued,) = [one for one in site.logged("is gone") if one["extra"]["task_id"] == crashing]
    assert rescued["extra"]["state"] == "READY"
    assert rescued["extra"]["task_path"] == "jobs.tasks.crash_once"
    assert site.stop(worker) == 0
    assert site.boards() == []


@on_postgresql
def test_neighbours_in_threads_and_the_event_loop_are_run_again(site: Site) -> None:
    worker = site.worker("--processes=1", "--threads=2")
    hold, ahold = site.enqueue_all([("hold", "t"), ("ahold", "a")])
    for name in "ta":
        site.wait_for_file(f"{name}.started")

    site.enqueue("crash_once", "crashed")
    for name in "ta":
        wait_until(lambda name=name: len(site.lines(f"{name}.runs")) == 2)
        site.touch(f"{name}.go")

    site.wait_for_all()
    for one in (hold, ahold):
        job = site.job(one)
        assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["WorkerLost"], 2)
    assert site.stop(worker) == 0


@on_postgresql
def test_a_task_that_always_crashes_fails_the_third_time(site: Site) -> None:
    worker = site.worker("--processes=1")
    crashing = site.enqueue("crash")
    other = site.enqueue("nothing")

    job = site.wait_for(crashing)

    assert (job.state, job.kinds, len(job.workers)) == (State.FAILED, ["WorkerLost"] * 3, 3)
    assert site.wait_for(other).state == State.SUCCESSFUL
    assert site.wait_for_log("has failed for good")[0]["extra"]["state"] == "FAILED"
    assert site.stop(worker) == 0


@on_postgresql
def test_a_killed_supervisor(site: Site) -> None:
    worker = site.worker("--processes=2")
    running = site.enqueue("hold", "t")
    pid = int(site.wait_for_file("t.started"))
    pids = {child.pid for child in children(worker)}
    assert pid in pids

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    site.wait_for_log("its supervisor is gone", 2, timeout=3)
    assert site.job(running).state == State.RUNNING
    site.touch("t.go")

    wait_until(lambda: site.workers() == [], 3)
    wait_until(lambda: site.boards() == [], 3)
    job = site.job(running)
    assert (job.state, len(job.workers)) == (State.SUCCESSFUL, 1)


@on_engines
def test_a_killed_tree(make_site: Callable[..., Site]) -> None:
    """The next worker rescues at once, from the journal: its lease would last for 30 seconds."""
    site = make_site()
    worker = site.worker("--processes=2", "--threads=2")
    site.enqueue_all([("nothing",)] * 100)
    site.wait_for_all()
    held = site.enqueue_all([("hold", f"t{i}") for i in range(4)])
    for i in range(4):
        site.wait_for_file(f"t{i}.started")
    claimed = site.enqueue_all([("asleep", 60)] * 3)
    for one in claimed:
        site.wait_for(one, State.RUNNING)

    kill_tree(worker)
    assert len(site.workers()) == 2
    for i in range(4):
        site.touch(f"t{i}.go")
    worker = site.worker("--processes=1")

    for one in held:
        job = site.wait_for(one, timeout=20)
        assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["WorkerLost"], 2)
        assert "nobody saw how" in job.errors[0][1]
    assert len(site.workers()) == 1
    kill_tree(worker)


@on_postgresql
def test_a_killed_tree_is_rescued_by_a_neighbour(site: Site) -> None:
    """Another tree of the same machine sees it within a second or so."""
    first = site.worker("--processes=1")
    job_id = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    second = site.worker("--processes=1")
    wait_until(lambda: len(site.workers()) == 2)

    kill_tree(first)
    wait_until(lambda: len(site.lines("t.runs")) == 2, 3)
    wait_until(lambda: not any(f"-{first.pid}-" in one for one in site.boards()), 3)
    site.touch("t.go")

    job = site.wait_for(job_id)
    assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["WorkerLost"], 2)
    assert site.stop(second) == 0
    assert site.workers() == []
    assert site.boards() == []


@on_engines
def test_a_frozen_worker_is_fenced(make_site: Callable[..., Site]) -> None:
    """It is given up when its lease ends; what it brings when it thaws is dropped."""
    site = make_site(options={"LEASE": 2})
    frozen = site.worker("--processes=1")
    job_id = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    (process,) = children(frozen)
    freeze(site.data, process.suspend, process.resume)
    other = site.worker("--processes=1")

    wait_until(lambda: len(site.lines("t.runs")) == 2, 15)
    job = site.job(job_id)
    assert (job.state, job.kinds, len(job.workers)) == (State.RUNNING, ["WorkerLost"], 1)
    assert "its lease has ended" in job.errors[0][1]
    site.touch("t.go")
    done = site.wait_for(job_id)
    assert len(done.workers) == 2
    process.resume()

    (dropped,) = site.wait_for_log("drops its outcome")
    assert dropped["extra"] == {"task_id": job_id, "worker_id": done.workers[0]}
    (given_up,) = site.wait_for_log("had been given up")
    assert given_up["extra"] == {"worker_id": done.workers[0]}
    assert site.job(job_id) == done
    more = site.enqueue_all([("sleep", 0.2)] * 10)  # both work on
    assert {site.wait_for(one).workers[0] for one in more} == set(done.workers)
    assert site.stop(frozen) == 0
    assert site.stop(other) == 0
    assert site.workers() == []


@on_engines
@pytest.mark.parametrize("name", ["ends_late", "aends_late"])
def test_a_frozen_worker_gets_back_what_it_still_runs(
    make_site: Callable[..., Site], name: str
) -> None:
    """It runs it once more after its first run, whose outcome is dropped."""
    site = make_site(options={"LEASE": 2})
    frozen = site.worker("--processes=1", "--threads=2")
    job_id = site.enqueue(f"jobs.hangs.{name}", "t")
    wait_until(lambda: site.lines("runs"))
    (process,) = children(frozen)
    freeze(site.data, process.suspend, process.resume)
    other = site.worker("--processes=1", "--queues=elsewhere")
    wait_until(lambda: site.job(job_id).state == State.READY, 15)
    process.resume()

    site.wait_for_file("t.told")
    site.wait_for(job_id, State.RUNNING)
    site.wait_for_quiet(0.3)
    site.touch("t.go")
    job = site.wait_for(job_id)
    pid = str(process.pid)
    assert site.lines("runs") == [["begins", pid], ["ends", pid], ["begins", pid]]
    assert (job.state, job.kinds, job.returned) == (State.SUCCESSFUL, ["WorkerLost"], "done")
    assert len(set(job.workers)) == 1
    (dropped,) = site.wait_for_log("drops its outcome")
    assert dropped["extra"]["task_id"] == job_id
    assert site.stop(frozen) == 0
    assert site.stop(other) == 0
    assert not site.logged("failed")


@pytest.mark.parametrize("name", ["breaks_worker", "abreaks_worker"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_that_fails_itself_is_replaced(site: Site, name: str, threads: int) -> None:
    """Whichever of its threads it is: others have to learn of what it holds."""
    worker = site.worker("--processes=1", f"--threads={threads}")
    job = site.wait_for(site.enqueue(f"jobs.rude.{name}", "broken"))
    assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["OutcomeLost"], 2)
    assert site.logged("ended with exit code 1")
    (told,) = site.logged("A worker process failed")
    assert "RuntimeError: broken by a task" in told["traceback"]
    assert site.stop(worker) == 0


def test_children_that_die_at_the_start(make_site: Callable[..., Site]) -> None:
    """They are tried again ever more slowly, and work as soon as they can."""
    site = make_site(wrapper="flaky")
    site.touch("broken")
    worker = site.worker("--processes=2")

    site.wait_for_log("ended with exit code 1", 4)
    deaths = [record["at"] for record in site.logged("ended with exit code 1")]
    assert deaths[-1] - deaths[0] > 0.4
    (site.folder / "broken").unlink()
    site.enqueue("nothing")
    site.wait_for_all()

    assert len(site.logged("ended with exit code 1")) < 8
    assert site.stop(worker) == 0
    assert site.boards() == []
