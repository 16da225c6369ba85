"""What tasks do to the signals of their process is over with them."""

import signal

import pytest

from mainspring.core.jobs import State

from .sites import Site

LEAVES = ("leaves_alarm", "leaves_timer", "takes_over", "blocks", "runs_loop")
OF_THREADS = ("leaves_timer", "blocks")
OF_TERMINAL = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_next_ones_notice_nothing_and_the_worker_stops(site: Site, threads: int) -> None:
    worker = site.worker("--processes=1", f"--threads={threads}")

    def run(name: str, *args: object) -> object:
        seen = site.wait_for(site.enqueue(f"jobs.signalled.{name}", *args))
        assert (seen.state, seen.errors) == (State.SUCCESSFUL, []), seen
        return seen.returned

    before = run("handlers") if threads == 1 else None
    for name in LEAVES if threads == 1 else OF_THREADS:
        run(name)
        assert run("works", 0.5) == "worked"
        if threads == 1:
            assert run("handlers") == before
    if threads == 1:
        assert run("times_out_by_itself") == "in time"
    assert len({one for job in site.jobs() for one in job.workers}) == 1
    assert site.stop(worker) == 0
    assert not site.logged("ended with")


@pytest.mark.parametrize("name", ["takes_over_and_holds", "runs_loop_and_holds"])
def test_a_worker_can_be_stopped_while_a_task_has_its_signals(site: Site, name: str) -> None:
    worker = site.worker("--processes=1")
    held = site.enqueue(f"jobs.signalled.{name}", "it")
    site.wait_for_file("it.started")
    worker.terminate()
    site.wait_for_log("Stopping")
    waiting = site.enqueue("nothing")
    site.touch("it.go")
    assert site.wait(worker) == 0
    seen = site.job(held)
    assert (seen.state, seen.errors, len(seen.workers)) == (State.SUCCESSFUL, [], 1)
    assert site.job(waiting).state == State.READY


def test_a_program_that_a_task_starts_has_the_default_dispositions(site: Site) -> None:
    site.worker("--processes=1")
    found = site.wait_for(site.enqueue("jobs.signalled.dispositions")).returned
    ignored = {number for number in range(1, 32) if int(found["SigIgn"], 16) >> (number - 1) & 1}
    # By whoever has started these tests, as nohup.
    before = {number for number in OF_TERMINAL if signal.getsignal(number) == signal.SIG_IGN}
    assert ignored & OF_TERMINAL == before
    assert int(found["SigBlk"], 16) == 0
