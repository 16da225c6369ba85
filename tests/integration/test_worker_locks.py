"""Row locks held by others while workers settle: the outcomes concerned wait, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mainspring.core.jobs import State

from .sites import Site

on_servers = pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)

_CANCEL = """
import time
from django.conf import settings
from django.db import connection, transaction
from django.tasks import task_backends
with transaction.atomic():
    {do}
    (settings.FOLDER / "locked").write_text("yes")
    while not (settings.FOLDER / "end").exists():
        time.sleep(0.01)
"""


@contextmanager
def locked(site: Site, job_id: str, do: str) -> Iterator[None]:
    """Have another process do something to a call in a transaction, which ends with the block."""
    code = _CANCEL.format(do=do.format(job_id))
    process = site.manage("shell", "--no-imports", "-c", code)
    site.wait_for_file("locked", timeout=60)
    yield
    site.touch("end")
    assert process.wait(60) == 0, site.output.read_text()


CANCEL = "assert task_backends['default'].cancel_result('{}')"
UPDATE = (
    "connection.cursor().execute('UPDATE mainspring_job SET priority = 1 WHERE id = %s', ['{}'])"
)


@on_servers
@pytest.mark.parametrize("args", [(), ("--threads=3",)], ids=["inline", "threads"])
def test_a_call_cancelled_in_a_long_transaction_keeps_no_other_waiting(
    site: Site, args: tuple[str, ...]
) -> None:
    worker = site.worker("--processes=1", *args)
    running = site.enqueue("hold", "one")
    site.wait_for_file("one.started")
    with locked(site, running, CANCEL):
        others = site.enqueue_all([("nothing",)] * 38)
        site.touch("one.go")
        for one in others:
            site.wait_for(one, State.SUCCESSFUL, timeout=60)
        site.wait_for_log("has locked its row", timeout=60)
        assert site.job(running).state == State.RUNNING
        more = site.enqueue_all([("nothing",)] * 10)
        for one in more:
            site.wait_for(one, State.SUCCESSFUL, timeout=60)
    assert site.wait_for(running).state == State.CANCELLED
    site.wait_for_log("drops its outcome")
    assert site.stop(worker) == 0
    assert site.logged("goes on trying") == []


@on_servers
def test_it_is_stored_when_the_lock_is_gone_though_nothing_else_is_to_be_done(site: Site) -> None:
    site.worker("--processes=1")
    running = site.enqueue("hold", "one")
    site.wait_for_file("one.started")
    with locked(site, running, UPDATE):
        site.touch("one.go")
        site.wait_for_log("has locked its row", timeout=60)
    assert site.wait_for(running).state == State.SUCCESSFUL


@on_servers
def test_an_atomic_task_whose_row_is_locked_keeps_no_other_waiting(site: Site) -> None:
    site.worker("--processes=1")
    running = site.enqueue("jobs.exactly_once.hold", "one")
    site.wait_for_file("one.started")
    with locked(site, running, CANCEL):
        others = site.enqueue_all([("nothing",)] * 10)
        site.touch("one.go")
        for one in others:
            site.wait_for(one, State.SUCCESSFUL, timeout=60)
    assert site.wait_for(running).state == State.CANCELLED
