"""Processes that are stopped in the middle of a write to SQLite's file: nobody else can write."""

import os
import signal
import sys
from collections.abc import Callable
from subprocess import PIPE, Popen

import psutil
import pytest

from mainspring.core.jobs import State

from .processes import children
from .sites import Site
from .waiting import wait_until

WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("writes", flush=True)
sys.stdin.read()
"""
PATIENCE = 45  # seconds: a worker waits for the lock for 10, two times

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who it is")


def begin_a_write(site: Site) -> tuple[Popen[str], str]:
    """Start a worker and have it run a call that has written, and goes on when told to."""
    site.query("CREATE TABLE ledger (job_id varchar(32))")
    worker = site.worker("--processes=1")
    job_id = site.enqueue("jobs.exactly_once.hold_entered", "t")
    site.wait_for_file("t.started")
    return worker, job_id


def test_a_worker_is_ended(make_site: Callable[..., Site]) -> None:
    """Its call is rescued; in the transaction that it was in, nothing was written."""
    site = make_site()
    first, job_id = begin_a_write(site)
    (process,) = children(first)
    process.suspend()
    assert site.data.is_locked()
    second = site.worker("--processes=1")

    (killed,) = site.wait_for_log("was stopped in the middle of a write", timeout=PATIENCE)
    assert killed["extra"]["blocker"] == process.pid
    assert site.wait_for_log("ended with SIGKILL")
    site.touch("t.go")
    job = site.wait_for(job_id)
    assert (job.state, job.kinds) == (State.SUCCESSFUL, ["WorkerLost"])
    assert "killed by SIGKILL" in job.errors[0][1]
    assert killed["extra"]["worker_id"] == job.workers[0]
    assert site.query("SELECT job_id FROM ledger") == [(job_id,)]
    assert site.stop(first) == 0
    assert site.stop(second) == 0
    assert site.boards() == []


def test_another_process_is_named(make_site: Callable[..., Site]) -> None:
    """It is not ours to end; nothing is lost in the meantime."""
    site = make_site()
    worker = site.worker("--processes=1")
    wait_until(site.workers)
    with Popen([sys.executable, "-c", WRITER, site.database], stdin=PIPE, stdout=PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writes\n"
        os.kill(writer.pid, signal.SIGSTOP)

        (told,) = site.wait_for_log("was stopped in the middle of a write", timeout=PATIENCE)
        assert f"kill -CONT {writer.pid}" in told["message"]
        assert told["extra"] == {"blocker": writer.pid}
        assert psutil.Process(writer.pid).status() == psutil.STATUS_STOPPED
        os.kill(writer.pid, signal.SIGCONT)
    job = site.wait_for(site.enqueue("nothing"))
    assert (job.state, job.kinds) == (State.SUCCESSFUL, [])
    assert site.stop(worker) == 0


def test_one_that_only_takes_its_time_is_left_alone(make_site: Callable[..., Site]) -> None:
    """A long transaction is no fault."""
    site = make_site()
    first, job_id = begin_a_write(site)
    second = site.worker("--processes=1")
    site.wait_for_log("goes on trying", timeout=PATIENCE)
    site.wait_for_quiet(12)  # until it has tried once more
    site.touch("t.go")
    job = site.wait_for(job_id)
    assert (job.state, job.kinds) == (State.SUCCESSFUL, [])
    assert not site.logged("was stopped")
    assert site.stop(first) == 0
    assert site.stop(second) == 0
