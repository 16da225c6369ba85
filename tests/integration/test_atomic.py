"""Atomic tasks in real workers: whatever dies, each call writes its row once."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from mainspring.core.jobs import State

from .databases import on_engines
from .processes import children
from .sites import Site
from .waiting import wait_until

on_servers = pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
on_postgresql_alone = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

LANES = pytest.mark.parametrize("threads", [1, 3], ids=["main-thread", "threads"])


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site with the ledger in its database; a call may meet all the kills that there are."""
    site = make_site(options={"LEASE": 10, "MAX_CRASHES": 100})
    site.execute("CREATE TABLE ledger (job_id varchar(32))", [()])
    return site


def rows(site: Site) -> Counter[str]:
    """Return how many rows each call has in the ledger."""
    return Counter(job_id for (job_id,) in site.query("SELECT job_id FROM ledger"))


def count(site: Site) -> int:
    """Return how many rows there are."""
    ((number,),) = site.query("SELECT count(*) FROM ledger")
    return int(number)


def enqueue(site: Site, number: int) -> list[str]:
    """Enqueue calls of which every tenth takes a while, so that kills meet some that run."""
    calls = [("jobs.exactly_once.enter", 0.02 if n % 10 == 0 else 0.0) for n in range(number)]
    return site.enqueue_all(calls)


@on_engines
@LANES
def test_kills(site: Site, threads: int) -> None:
    tasks, kills, chance = 300, 5, random.Random()
    ids = enqueue(site, tasks)
    worker = site.worker("--processes=2", f"--threads={threads}")
    for number in range(kills):
        least = tasks * (number + chance.random()) / (kills + 1)
        wait_until(lambda least=least: count(site) >= least, 60)
        with suppress(psutil.NoSuchProcess):
            chance.choice(wait_until(lambda: children(worker))).kill()
    jobs = site.wait_for_all(60)
    assert site.stop(worker) == 0, site.output.read_text()

    assert [job for job in jobs if job.state != State.SUCCESSFUL] == []
    assert rows(site) == Counter(ids)
    for job in jobs:
        assert set(job.kinds) <= {"WorkerLost", "OutcomeLost"}
        assert len(job.workers) == len(job.errors) + 1


@on_engines
@pytest.mark.parametrize(("name", "attempts"), [("before", 2), ("after", 1)])
def test_a_death_at_the_commit(site: Site, name: str, attempts: int) -> None:
    job_id = site.enqueue(f"jobs.exactly_once.die_{name}_commit", "died")
    worker = site.worker("--processes=1")
    site.wait_for_file("died")
    job = site.wait_for(job_id)
    later = site.wait_for(site.enqueue("jobs.exactly_once.enter"))
    assert site.stop(worker) == 0
    assert (job.state, later.state) == (State.SUCCESSFUL, State.SUCCESSFUL)
    assert len(site.job(job_id).workers) == attempts
    assert rows(site) == Counter([job_id, later.id])


@on_postgresql_alone
@LANES
def test_connections_that_are_cut(make_site: Callable[..., Site], threads: int) -> None:
    site = make_site(options={"MAX_ATTEMPTS": 100, "BACKOFF": 0})
    site.execute("CREATE TABLE ledger (job_id varchar(32))", [()])
    tasks, cuts, chance = 300, 8, random.Random()
    ids = enqueue(site, tasks)
    worker = site.worker("--processes=2", f"--threads={threads}")
    cut = 0
    for number in range(cuts):
        least = tasks * (number + chance.random()) / (cuts + 1)
        wait_until(lambda least=least: count(site) >= least, 60)
        ((ended,),) = site.query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND xact_start IS NOT NULL"
        )
        cut += ended
    jobs = site.wait_for_all(60)
    assert site.stop(worker) == 0, site.output.read_text()
    assert cut
    assert [job for job in jobs if job.state != State.SUCCESSFUL] == []
    assert rows(site) == Counter(ids)


@on_servers
def test_rows_that_all_change(site: Site) -> None:
    """Transactions that several tasks share lock rows in any order."""
    site.execute("CREATE TABLE counter (id integer PRIMARY KEY, value integer)", [()])
    site.execute("INSERT INTO counter VALUES (?, 0)", [(number,) for number in range(5)])
    numbers = [random.randrange(5) for _ in range(150)]
    site.enqueue_all([("jobs.exactly_once.increment", number) for number in numbers])
    worker = site.worker("--processes=2")
    jobs = site.wait_for_all(60)
    assert site.stop(worker) == 0
    assert {(job.state, len(job.workers)) for job in jobs} == {(State.SUCCESSFUL, 1)}
    assert dict(site.query("SELECT id, value FROM counter")) == Counter(numbers)


@on_servers
@LANES
def test_a_timeout_in_the_middle_of_a_statement(site: Site, threads: int) -> None:
    before = site.enqueue_all([("jobs.exactly_once.enter",)] * 30)
    late = site.enqueue("jobs.exactly_once.wait_in_database")
    after = site.enqueue_all([("jobs.exactly_once.enter",)] * 30)
    worker = site.worker("--processes=1", f"--threads={threads}")
    job = site.wait_for(late)
    assert (job.state, len(job.workers)) == (State.FAILED, 1)
    if threads == 1:  # elsewhere, a task is told when it is back in Python
        assert job.kinds == ["TaskTimeout"]
    jobs = site.wait_for_all()
    assert site.stop(worker) == 0
    assert [job.id for job in jobs if job.state != State.SUCCESSFUL] == [late]
    assert rows(site) == Counter(before + after)


@on_servers
@LANES
def test_a_cancelled_call_leaves_nothing(site: Site, threads: int) -> None:
    worker = site.worker("--processes=1", f"--threads={threads}")
    held = site.enqueue("jobs.exactly_once.hold_entered", "a")
    site.wait_for_file("a.started")
    site.cancel(held)
    later = site.wait_for(site.enqueue("jobs.exactly_once.enter"))
    assert site.stop(worker) == 0
    assert site.job(held).state == State.CANCELLED
    assert rows(site) == Counter([later.id])
