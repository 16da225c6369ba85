"""Behind PgBouncer, in transaction mode: no connection keeps its session from one to the next."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from mainspring.core.jobs import State
from tests.contract.stores import Stores
from tests.own_postgres import EmbeddedPostgres
from tests.servers import Servers, give_up

from .processes import children
from .scheduled import check_that_every_tick_is_there_once, every_second, ticked
from .sites import Site
from .waiting import wait_until

PORT = 6432
CONFIGURATION = """
[databases]
* = host={server} port=5432

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
logfile = {folder}/log.txt
"""
# Ends with this process, however that comes about.
GUARD = '"$@" </dev/null & cat; kill $!; wait'


def _start(postgres: EmbeddedPostgres, program: str, folder: Path) -> "subprocess.Popen[bytes]":
    text = CONFIGURATION.format(server=postgres.folder, folder=folder, port=PORT)
    (folder / "pgbouncer.ini").write_text(text)
    (folder / "users.txt").write_text('"postgres" ""\n')
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "sh", program, folder / "pgbouncer.ini"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
        **postgres.account,
    )


@pytest.fixture(scope="module")
def pgbouncer(stores: Stores, servers: Servers) -> Iterator[str]:
    """The folder of the socket of a PgBouncer in front of the PostgreSQL that tests share."""
    stores.server("postgresql")  # or skip
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        give_up("pgbouncer", "there is no pgbouncer on the PATH or in /usr/sbin")
        return
    postgres = servers.embedded
    folder = postgres.folder / "pgbouncer"
    folder.mkdir()
    if postgres.account:
        shutil.chown(folder, postgres.account["user"], postgres.account["group"])
    process = _start(postgres, program, folder)

    def answers() -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(host=str(folder), port=PORT, user="postgres", dbname="postgres").close()
            return True
        return False

    try:
        wait_until(answers, 10, "an answer of PgBouncer")
        yield str(folder)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def site(make_site: Callable[..., Site], pgbouncer: str) -> Site:
    """A site whose processes reach their database through PgBouncer."""
    made = make_site("postgresql")
    made.settings["database"] |= {"HOST": pgbouncer, "PORT": str(PORT)}
    return made


def test_results_are_waited_for(site: Site) -> None:
    worker = site.worker("--processes=2")
    assert site.call(*[("add", i, i) for i in range(20)]) == [2 * i for i in range(20)]
    assert site.stop(worker) == 0
    assert site.states() == {State.SUCCESSFUL: 20}


def test_many_tasks_in_many_threads(site: Site) -> None:
    """More threads and processes than there are connections to the server."""
    site.enqueue_all([("ledger",), ("aledger",)] * 300)
    site.drain("--processes=3", "--threads=3")
    assert site.states() == {State.SUCCESSFUL: 600}
    assert len(site.lines()) == 600
    assert site.workers() == []


def test_an_idle_worker_finds_what_comes(site: Site) -> None:
    worker = site.worker("--processes=1")
    wait_until(site.workers)
    site.wait_for_quiet(0.5)
    (process,) = children(worker)
    assert site.call(("process",)) == [process.pid]
    due = site.now() + 0.5
    job = site.wait_for(site.enqueue("nothing", after=0.5))
    assert (job.started_at or 0) >= due - 0.01
    assert site.stop(worker) == 0


def test_a_killed_process_loses_nothing(site: Site) -> None:
    worker = site.worker("--processes=2")
    site.enqueue_all([("crash_once", "crashed"), *[("sleep", 0.01)] * 50])
    jobs = site.wait_for_all()
    assert {job.state for job in jobs} == {State.SUCCESSFUL}
    assert site.stop(worker) == 0


def test_schedules_tick(site: Site) -> None:
    site.settings["options"] = {"SCHEDULES": every_second(3, catch_up="all")}
    worker = site.worker("--processes=2")
    wait_until(lambda: len(ticked(site)) >= 9, 20, "ticks")
    assert site.stop(worker) == 0
    check_that_every_tick_is_there_once(ticked(site), 3)
