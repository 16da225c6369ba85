"""What worker processes have from the process that forked them, and must not share with it."""

from collections.abc import Callable

import pytest

from mainspring.core.jobs import State

from .sites import Site

on_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@on_postgresql
def test_a_pool_that_was_used_before_the_fork_is_not_shared(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(apps=["early"])
    site.settings["database"]["OPTIONS"] = {"pool": {"min_size": 2, "max_size": 4}}
    site.variables["EARLY"] = "query"
    site.enqueue_all([("early.tasks.selects", n) for n in range(300)])
    site.drain("--processes=2")

    jobs = site.jobs()
    assert {job.state for job in jobs} == {State.SUCCESSFUL}
    assert sorted(job.returned for job in jobs) == list(range(300))
    assert all(job.errors == [] for job in jobs)


def test_the_thread_for_sync_code_that_was_used_before_the_fork_is_there(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(apps=["early"])
    site.variables["EARLY"] = "async"
    site.enqueue_all([("early.tasks.aselects", n) for n in range(5)])
    site.drain("--processes=1")

    assert sorted(job.returned for job in site.jobs()) == list(range(5))
