"""What workers log: stable keys in ``mainspring``, Django's own records in ``django.tasks``."""

from collections.abc import Callable
from typing import Any

import pytest

from .sites import Site


@pytest.mark.parametrize("args", [(), ("--threads=2",)])
@pytest.mark.parametrize("prefix", ["", "a"])
def test_djangos_records_of_a_task(
    make_site: Callable[..., Site], args: tuple[str, ...], prefix: str
) -> None:
    site = make_site(tasks_log="INFO")
    good = site.enqueue(f"{prefix}process")
    bad = site.enqueue(f"{prefix}fails", "of course")

    site.drain("--processes=1", *args)

    def told(job_id: str) -> list[tuple[str, str]]:
        return [
            (record["level"], record["message"])
            for record in site.log("django.tasks")
            if job_id in record["message"]
        ]

    path = f"jobs.tasks.{prefix}process"
    assert told(good) == [
        ("INFO", f"Task id={good} path={path} state=RUNNING"),
        ("INFO", f"Task id={good} path={path} state=SUCCESSFUL"),
    ]
    path = f"jobs.tasks.{prefix}fails"
    assert told(bad) == [
        ("INFO", f"Task id={bad} path={path} state=RUNNING"),
        ("ERROR", f"Task id={bad} path={path} state=FAILED"),
    ]
    (failed,) = [record for record in site.log("django.tasks") if record["level"] == "ERROR"]
    assert failed["traceback"].rstrip().endswith("ValueError: of course")
    assert "in " + prefix + "fails" in failed["traceback"]
    assert all(not record["traceback"] for record in site.log("django.tasks")[:1])


def test_failures_are_logged_where_successes_are_not(make_site: Callable[..., Site]) -> None:
    site = make_site(tasks_log="WARNING")
    site.enqueue("process")
    bad = site.enqueue("fails", "of course")

    site.drain("--processes=1")

    (record,) = site.log("django.tasks")
    assert (record["level"], bad in record["message"]) == ("ERROR", True)
    assert "ValueError: of course" in record["traceback"]


def test_keys(site: Site) -> None:
    """Every record of a worker has keys, of known names and types."""
    known: dict[str, Any] = {
        "task_id": str,
        "task_path": str,
        "task_module": str,
        "worker_id": str,
        "state": str,
        "database": str,
        "exit_code": int,
        "processes": int,
        "pruned": int,
        "why": str,
        "loop": str,
    }
    worker = site.worker("--processes=2", "--shutdown-timeout=0.2")
    for task in ("jobs.tasks.gone", "crash", "jobs.rude.leaves_transaction"):
        site.enqueue(task)
    site.execute("CREATE TABLE note (text)", [()])
    site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    site.wait_for_log("has failed for good")
    site.wait_for_log("is kept and will be tried again")
    site.stop(worker)

    records = site.log()
    assert len(records) > 8
    for record in records:
        assert record["extra"], record
        assert record["extra"].keys() <= known.keys()
        assert all(isinstance(value, known[key]) for key, value in record["extra"].items())
        assert not record["traceback"]
    ids = {job.id for job in site.jobs()}
    assert {record["extra"]["task_id"] for record in records if "task_id" in record["extra"]} <= ids


def test_to_the_terminal_where_nothing_is_configured(make_site: Callable[..., Site]) -> None:
    site = make_site(logging=False, debug=True)  # so that Django tells of its own
    worker = site.worker("--processes=1")
    site.enqueue("jobs.tasks.gone")
    site.enqueue("fails", "of course")
    site.wait_for_text("is kept and will be tried again")
    site.wait_for_text("ValueError: of course")

    assert site.stop(worker) == 0
    text = site.output.read_text()
    assert "WARNING Task id=" in text
    assert "INFO Stopping (SIGTERM)" in text
