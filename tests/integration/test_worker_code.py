"""Tasks whose code is not there: kept, told once, run when it is."""

from collections.abc import Callable

from mainspring.core.jobs import State

from .sites import Site
from .waiting import wait_until

TASKS = """
from mainspring import task

@task
def late() -> str:
    return "here"
"""
BROKEN = f"import nowhere_to_be_found\n{TASKS}"
WRONG = "def late(:\n"


def make_late_app(site: Site, tasks: str | None) -> None:
    """Write, or take away, the tasks of the app ``lateapp``."""
    folder = site.folder / "lateapp"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    if tasks is None:
        (folder / "tasks.py").unlink(missing_ok=True)
    else:
        (folder / "tasks.py").write_text(tasks)


def is_kept(site: Site, job_id: str) -> bool:
    """Whether a job waits as if nothing had happened."""
    job = site.job(job_id)
    return (job.state, job.workers, job.errors, job.started_at) == (State.SCHEDULED, [], [], None)


def test_a_module_that_raises(make_site: Callable[..., Site]) -> None:
    site = make_site(apps=["lateapp"])
    for text, reason in (
        (BROKEN, "nowhere_to_be_found"),
        (WRONG, "SyntaxError"),
        (None, "lateapp"),
    ):
        make_late_app(site, text)
        before = len(site.logged("is kept and will be tried again"))
        worker = site.worker("--processes=1")
        missing = site.enqueue_all([("lateapp.tasks.late",)] * 20)
        other = site.enqueue("nothing")

        assert site.wait_for(other).state == State.SUCCESSFUL
        wait_until(lambda ids=missing: all(is_kept(site, one) for one in ids))
        told = site.logged("is kept and will be tried again")[before:]
        assert len(told) == 1, told
        assert reason in told[0]["message"]
        assert told[0]["level"] == "WARNING"
        assert not told[0]["traceback"]
        assert told[0]["extra"]["task_path"] == "lateapp.tasks.late"
        assert told[0]["extra"]["task_id"] in missing
        assert site.stop(worker) == 0

    make_late_app(site, TASKS)
    worker = site.worker("--processes=1")
    jobs = site.wait_for_all()
    assert {(job.state, len(job.workers)) for job in jobs} == {(State.SUCCESSFUL, 1)}
    assert [job.returned for job in jobs if job.task.startswith("late")] == ["here"] * 60
    assert site.stop(worker) == 0


def test_the_same_worker_finds_it_once_it_is_there(make_site: Callable[..., Site]) -> None:
    site = make_site(apps=["lateapp"])
    make_late_app(site, BROKEN)
    worker = site.worker("--processes=1", "--threads=2")
    missing = site.enqueue("lateapp.tasks.late")
    site.wait_for(missing, State.SCHEDULED)

    make_late_app(site, TASKS)

    assert site.wait_for(missing).returned == "here"
    assert site.stop(worker) == 0


def test_a_task_that_was_removed_or_never_ours(site: Site) -> None:
    worker = site.worker("--processes=1")
    paths = ["jobs.tasks.gone", "jobs.tasks.append", "os.getpid", "json.tool.main"]
    ids = [site.enqueue(path) for path in paths]

    wait_until(lambda: all(is_kept(site, one) for one in ids))
    told = site.wait_for_log("is kept and will be tried again", 4)

    assert {record["extra"]["task_path"] for record in told} == {
        "jobs.tasks.gone",
        "jobs.tasks.append",
        "os.getpid",
        "json.tool.main",
    }
    assert site.stop(worker) == 0
