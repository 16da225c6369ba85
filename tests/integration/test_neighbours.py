"""A worker command and the process, the terminal or the program that it is started from."""

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from mainspring.core.jobs import State

from .processes import children
from .sites import PROJECT, Site
from .waiting import wait_until

CALLS = """
import os, signal, subprocess, logging
from django.core.management import call_command

def mine(*_):
    pass

def found():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    logger = logging.getLogger("mainspring")
    return (
        [signal.getsignal(number) for number in numbers], signal.set_wakeup_fd(writes),
        logger.handlers[:], logger.level, sorted(os.listdir("/proc/self/fd")),
    )

reads, writes = os.pipe()
os.set_blocking(writes, False)
signal.signal(signal.SIGTERM, mine)
signal.signal(signal.SIGCHLD, mine)
signal.set_wakeup_fd(writes)
other = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
before = found()
for _ in range(2):
    call_command("mainspring", "worker", "--drain", "--processes=1")
print("as before:", found() == before, other.wait())
"""


def test_call_command_leaves_the_process_as_it_was(make_site: Callable[..., Site]) -> None:
    site = make_site(logging=False)
    site.enqueue("nothing")
    process = site.manage("shell", "--no-imports", "-c", CALLS)
    assert process.wait(60) == 0, site.output.read_text()
    assert "as before: True 7" in site.output.read_text()
    assert site.states() == {State.SUCCESSFUL: 1}


@pytest.mark.parametrize("ignored", [True, False])
def test_a_hangup_that_is_ignored_at_the_start_stays_ignored(site: Site, ignored: bool) -> None:
    """As ``nohup`` has it; by the processes and by what tasks start, too."""

    def start() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)

    worker = site.manage("mainspring", "worker", "--processes=1", preexec_fn=start)
    wait_until(site.workers)
    for process in (*children(worker), worker):
        os.kill(process.pid, signal.SIGHUP)
    if ignored:
        number = site.wait_for(site.enqueue("jobs.children.hangs_up_child")).returned
        assert number == 0
        assert site.stop(worker) == 0
    else:
        assert site.wait(worker) == 0
    assert bool(site.logged("Stopping (SIGHUP)")) != ignored


@pytest.mark.parametrize("closed", ["0<&- 1>&- 2>&-", "1>&- 2>&-", "2>&-"])
@pytest.mark.parametrize("logging", [True, False])
def test_standard_streams_may_be_closed(
    make_site: Callable[..., Site], closed: str, logging: bool
) -> None:
    site = make_site(logging=logging)
    ids = [site.enqueue("jobs.children.prints"), site.enqueue("jobs.children.runs_program")]
    command = f"exec python {PROJECT}/manage.py mainspring worker --processes=1 {closed}"
    worker = site.start("/bin/sh", "-c", command)
    assert site.wait_for(ids[0]).returned == []
    assert site.wait_for(ids[1]).returned == [5, 6, -signal.SIGTERM]
    assert site.stop(worker) == 0


def test_output_whose_reader_is_gone(site: Site) -> None:
    """The log and the forks do not mind."""
    worker = site.manage(
        "mainspring", "worker", "--processes=1", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_until(site.workers)
    for stream in (worker.stdout, worker.stderr):
        assert stream is not None
        stream.close()
    crashing = site.enqueue("crash_once", "crashed")
    assert site.wait_for(crashing).kinds == ["WorkerLost"]
    assert site.stop(worker) == 0
