"""A worker whose database has trouble: one clear line, no storm, and it goes on."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from mainspring.core.jobs import State

from .sites import Seen, Site
from .waiting import wait_until


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Keep the database locked for writing."""
    with closing(sqlite3.connect(site.database, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def successful_at_once(jobs: list[Seen]) -> bool:
    """Whether all were run once and without an error."""
    return all(
        (job.state, job.errors, len(job.workers)) == (State.SUCCESSFUL, [], 1) for job in jobs
    )


def complaints(site: Site) -> list[str]:
    """Return what was logged as an error, after checking that no line has a traceback."""
    assert not any(record["traceback"] for record in site.log())
    assert "Traceback" not in site.output.read_text()
    return [record["message"] for record in site.log() if record["level"] == "ERROR"]


def test_locked_for_a_moment(site: Site) -> None:
    """Other writers are waited for, without a word."""
    worker = site.worker("--processes=2", "--threads=2")
    site.enqueue_all([("hold", f"t{i}") for i in range(4)])
    for i in range(4):
        site.wait_for_file(f"t{i}.started")

    with locked(site):
        for i in range(4):
            site.touch(f"t{i}.go")
        site.wait_for_quiet(2.0)

    assert successful_at_once(site.wait_for_all())
    assert complaints(site) == []
    assert site.stop(worker) == 0


def test_locked_for_longer_than_a_lease(make_site: Callable[..., Site]) -> None:
    """While nobody can write, no lease can be renewed; nobody is taken for dead for that."""
    site = make_site(options={"LEASE": 1})
    workers = [site.worker("--processes=2") for _ in range(2)]
    wait_until(lambda: len(site.workers()) == 4)
    names = [f"t{i}" for i in range(4)]
    site.enqueue_all([("hold", name) for name in names])
    for name in names:
        site.wait_for_file(f"{name}.started")

    with locked(site):
        site.wait_for_quiet(3.5)
    site.wait_for_quiet(1.0)
    for name in names:
        site.touch(f"{name}.go")

    assert successful_at_once(site.wait_for_all())
    assert [len(site.lines(f"{name}.runs")) for name in names] == [1] * 4
    for worker in workers:
        assert site.stop(worker) == 0
    assert complaints(site) == []


def test_locked_for_too_long(site: Site) -> None:
    """After ten seconds it is told, once; and nothing is lost."""
    worker = site.worker("--processes=1")
    wait_until(lambda: len(site.workers()) == 1)
    ids = site.enqueue_all([("hold", "t"), ("nothing",)])
    site.wait_for_file("t.started")

    with locked(site):
        site.touch("t.go")
        (told,) = site.wait_for_log("is locked by another writer")
        assert told["level"] == "ERROR"
        assert told["extra"]["worker_id"] in told["message"]

    for one in ids:
        site.wait_for(one)
    site.wait_for_log("can use its store again")
    assert successful_at_once(site.jobs())
    assert len(complaints(site)) == 1
    assert site.stop(worker) == 0


def test_tables_are_missing(site: Site) -> None:
    site.execute("ALTER TABLE mainspring_job RENAME TO away_job", [()])
    site.execute("ALTER TABLE mainspring_worker RENAME TO away_worker", [()])
    worker = site.worker("--processes=2")

    told = site.wait_for_log("lacks Mainspring's tables; run 'manage.py migrate'", 2)
    site.wait_for_quiet(1.5)
    assert len(complaints(site)) == 2 == len({record["pid"] for record in told})
    site.execute("ALTER TABLE away_job RENAME TO mainspring_job", [()])
    site.execute("ALTER TABLE away_worker RENAME TO mainspring_worker", [()])

    site.enqueue("nothing")
    assert successful_at_once(site.wait_for_all())
    assert site.stop(worker) == 0


def test_not_migrated_at_all(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.database.unlink()
    worker = site.worker("--processes=1")

    site.wait_for_log("lacks Mainspring's tables; run 'manage.py migrate'")
    assert site.manage("migrate").wait(20) == 0
    site.enqueue("nothing")

    assert successful_at_once(site.wait_for_all())
    assert len(complaints(site)) == 1
    assert site.stop(worker) == 0


@pytest.mark.parametrize(
    ("trouble", "line"),
    [("readonly", "is read-only"), ("full", "cannot grow, as the disk is full")],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_cannot_write(
    make_site: Callable[..., Site], trouble: str, line: str, threads: int
) -> None:
    site = make_site(wrapper="flaky")
    worker = site.worker("--processes=1", f"--threads={threads}")
    big = site.enqueue("returns_after", "t", 200_000)
    site.wait_for_file("t.started")

    site.touch(trouble)
    site.touch("t.go")
    (told,) = site.wait_for_log(line)
    site.wait_for_quiet(2.5)
    assert told["level"] == "ERROR"
    assert len(complaints(site)) == 1
    assert site.job(big).state == State.RUNNING
    (site.folder / trouble).unlink()

    more = site.enqueue("nothing")
    assert site.wait_for(big).returned == "x" * 200_000
    site.wait_for(more)
    assert successful_at_once(site.jobs())
    site.wait_for_log("can use its store again")
    assert len(complaints(site)) == 1
    assert site.stop(worker) == 0


def test_cannot_give_back_for_a_while(make_site: Callable[..., Site]) -> None:
    """What could not be released is released later, and not run by the wrong kind of slot."""
    site = make_site(wrapper="flaky")
    worker = site.worker("--processes=1", "--async-concurrency=1", "--queues=first,second")
    for _ in range(2):
        site.enqueue_all([("aprocess",)] * 100, queue="first")  # so that it claims many at a time
        site.wait_for_all()
    site.enqueue_together(first=[("ahold", "a")], second=[("ahold", "b")] * 5)
    site.wait_for_file("a.started")
    site.touch("readonly")  # a moment before it gives back the others
    site.wait_for_log("is read-only")
    site.wait_for_quiet(0.5)
    worker.terminate()
    site.wait_for_log("Stopping")
    site.touch("a.go")
    site.wait_for_quiet(0.5)
    (site.folder / "readonly").unlink()

    assert worker.wait(10) == 0
    assert site.states() == {State.SUCCESSFUL: 201, State.READY: 5}
    site.touch("b.go")
    site.drain("--processes=1")
    assert successful_at_once(site.jobs())


def test_stopped_while_it_cannot_write(make_site: Callable[..., Site]) -> None:
    """It tries until the time is over; what had ended by then is run again by the next worker."""
    site = make_site(wrapper="flaky")
    worker = site.worker("--processes=1", "--shutdown-timeout=1")
    job_id = site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    site.touch("readonly")
    site.touch("t.go")
    site.wait_for_log("is read-only")

    assert site.stop(worker, timeout=5) == 1
    (site.folder / "readonly").unlink()
    site.drain()

    job = site.job(job_id)
    assert (job.state, job.kinds) == (State.SUCCESSFUL, ["OutcomeLost"])
    assert site.workers() == []
    assert site.boards() == []


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_worker_that_cannot_renew_its_lease_claims_nothing(
    make_site: Callable[..., Site],
) -> None:
    """Else it would run what others run again as soon as they take it for dead."""
    site = make_site(options={"LEASE": 1})
    worker = site.worker("--processes=1")
    wait_until(site.workers)
    site.query("BEGIN")
    site.query("SELECT FROM mainspring_worker FOR UPDATE")
    site.wait_for_quiet(1.5)
    job_id = site.enqueue("nothing")
    site.wait_for_quiet(1)
    assert site.job(job_id).state == State.READY
    site.query("COMMIT")
    assert site.wait_for(job_id).state == State.SUCCESSFUL
    assert site.stop(worker) == 0
