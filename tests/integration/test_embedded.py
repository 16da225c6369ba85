"""Embedded workers: tasks run inside the process that serves requests, and in no other."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from mainspring.core.jobs import State

from .sites import PROJECT, Seen, Site
from .test_worker_code import make_late_app
from .waiting import wait_until

WSGIREF = """
import sys
from wsgiref.simple_server import make_server
from wsgi import application
try:
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
except KeyboardInterrupt:
    pass
"""
TEST_CLIENT = """
import django
django.setup()
from django.test.utils import setup_test_environment
from django.test import Client
setup_test_environment()
print(Client().get("/enqueue/nothing/").json())
"""


class Server:
    """A web server of a site."""

    def __init__(self, site: Site, kind: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.site = site
        self.url = f"http://127.0.0.1:{port}"
        uvicorn = ["-m", "uvicorn", "--port", port, "--log-level", "warning", "asgi:application"]
        manage = [str(PROJECT / "manage.py"), "runserver", port]
        args = {
            "wsgi": ["-c", WSGIREF, port],
            "asgi": uvicorn,
            "runserver": [*manage, "--noreload"],
            "runserver with reloader": manage,
        }[kind]
        self.process: subprocess.Popen[str] = site.start(sys.executable, *args)

    def enqueue(self, name: str, *args: str) -> str:
        """Have a request enqueue; return the result's id."""
        query = "&".join(f"arg={arg}" for arg in args)
        answer = wait_until(lambda: self._get(f"/enqueue/{name}/?{query}"))
        return str(json.loads(answer)["id"])

    def _get(self, path: str) -> bytes:
        try:
            with urlopen(self.url + path, timeout=10) as response:
                return bytes(response.read())
        except ConnectionError:  # its reloader has ended it in the middle of this request
            return b""
        except URLError as error:  # it is only starting
            if isinstance(error.reason, ConnectionError):
                return b""
            raise


@pytest.fixture
def embedded(make_site: Callable[..., Site]) -> Site:
    """A site whose web processes run its tasks."""
    return make_site(options={"EMBEDDED": True, "THREADS": 2}, apps=["lateapp"])


@pytest.fixture(autouse=True)
def _late_app(embedded: Site) -> None:
    make_late_app(embedded, "")


@pytest.mark.parametrize("kind", ["wsgi", "asgi", "runserver", "runserver with reloader"])
def test_runs_tasks(embedded: Site, kind: str) -> None:
    """Sync and async ones, also what was enqueued before."""
    before = embedded.enqueue("process")
    server = Server(embedded, kind)
    ids = [server.enqueue("process"), server.enqueue("aprocess")]
    done = [embedded.wait_for(one) for one in (before, *ids)]

    (worker_id,) = {worker for job in done for worker in job.workers}
    (pid,) = {job.returned for job in done}
    assert (pid == server.process.pid) == (kind != "runserver with reloader")
    assert embedded.workers() == [worker_id]


@pytest.mark.parametrize("kind", ["wsgi", "asgi", "runserver"])
def test_ctrl_c_lets_what_runs_finish(embedded: Site, kind: str) -> None:
    server = Server(embedded, kind)
    names = {"hold": "t", "ahold": "a", "ahold_connected": "c"}
    held = [server.enqueue(task, name) for task, name in names.items()]
    for name in names.values():
        embedded.wait_for_file(f"{name}.started")
    os.killpg(server.process.pid, signal.SIGINT)  # Ctrl-C
    embedded.wait_for_quiet(0.3)
    for name in names.values():
        embedded.touch(f"{name}.go")
    embedded.wait(server.process)

    for one in held:
        job = embedded.job(one)
        assert (job.state, len(job.workers)) == (State.SUCCESSFUL, 1)
    assert embedded.workers() == []
    assert embedded.boards() == []
    assert "Traceback" not in embedded.output.read_text()


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_what_does_not_finish_is_run_again(embedded: Site, kind: str) -> None:
    server = Server(embedded, kind)
    held = server.enqueue("hold", "t")
    embedded.wait_for_file("t.started")

    server.process.kill()
    server.process.wait()
    server = Server(embedded, kind)
    wait_until(lambda: len(embedded.lines("t.runs")) == 2)
    embedded.touch("t.go")

    job = embedded.wait_for(held)
    assert (job.state, job.kinds, len(job.workers)) == (State.SUCCESSFUL, ["WorkerLost"], 2)


def test_the_reloader_loses_nothing(embedded: Site) -> None:
    server = Server(embedded, "runserver with reloader")
    first = embedded.wait_for(server.enqueue("process"))
    held = [server.enqueue("hold", "t"), server.enqueue("ahold", "a")]
    for name in "ta":
        embedded.wait_for_file(f"{name}.started")
    embedded.wait_for_quiet(1.2)  # until the reloader has seen the files once

    (embedded.folder / "lateapp" / "__init__.py").write_text("# changed")
    embedded.wait_for_quiet(1.2)
    for name in "ta":
        embedded.touch(f"{name}.go")
    later = wait_until(lambda: _elsewhere(embedded, server, first))

    for one in held:
        job = embedded.wait_for(one)
        assert (job.state, len(job.workers)) == (State.SUCCESSFUL, 1)
    wait_until(lambda: embedded.workers() == later.workers)


def _elsewhere(site: Site, server: Server, first: Seen) -> Seen | None:
    later = site.wait_for(server.enqueue("process"))
    return later if later.returned != first.returned else None


def test_not_in_management_commands(embedded: Site) -> None:
    """They only enqueue; so does the command that runs a worker of its own."""
    command = embedded.manage("enqueue", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    command.communicate('["nothing"]\n["nothing"]\n', 20)

    assert command.returncode == 0
    assert embedded.states() == {State.READY: 2}
    assert embedded.boards() == []
    embedded.drain("--processes=1")
    assert len({worker for job in embedded.jobs() for worker in job.workers}) == 1


def test_not_in_the_test_client(embedded: Site) -> None:
    assert embedded.start(sys.executable, "-c", TEST_CLIENT).wait(20) == 0

    assert embedded.states() == {State.READY: 1}
    assert embedded.workers() == []


def test_not_without_the_option(site: Site) -> None:
    server = Server(site, "wsgi")
    job_id = server.enqueue("nothing")

    site.wait_for_quiet(0.5)
    assert site.job(job_id).state == State.READY


def test_beside_a_worker(embedded: Site) -> None:
    """Both run tasks of the same queue, and notice when the other dies."""
    server = Server(embedded, "asgi")
    embedded.wait_for(server.enqueue("nothing"))
    worker = embedded.worker("--processes=1")
    wait_until(lambda: len(embedded.workers()) == 2)
    embedded.enqueue_all([("sleep", 0.05)] * 40)
    assert len({worker for job in embedded.wait_for_all() for worker in job.workers}) == 2

    embedded.enqueue_all([("hold", f"t{i}") for i in range(3)])  # two threads and a process
    for i in range(3):
        embedded.wait_for_file(f"t{i}.started")
    server.process.kill()
    wait_until(lambda: embedded.states().get(State.READY) == 2, 5)
    for i in range(3):
        embedded.touch(f"t{i}.go")

    assert {job.state for job in embedded.wait_for_all()} == {State.SUCCESSFUL}
    assert embedded.stop(worker) == 0
