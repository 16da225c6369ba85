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


@pytest.mark.parametrize("kind", ["queue", "simple"])
def test_a_listener_of_logging_that_was_started_before_the_fork(
    make_site: Callable[..., Site], kind: str
) -> None:
    """Each line is there once, whoever logged it, and at whatever moment."""
    site = make_site(apps=["early"])
    site.variables["EARLY"] = kind
    site.enqueue_all([("early.tasks.logs", n) for n in range(50)])
    site.drain("--processes=2", "--max-tasks=20")

    lines = (site.folder / "queued.log").read_text().splitlines()
    assert sorted(line for line in lines if line.startswith("line")) == sorted(
        f"line {n}" for n in range(50)
    )
    assert lines.count("before the fork") == 1
    ends = [line for line in lines if line.startswith("at the end")]
    assert len(set(ends)) == len(ends) >= 3


@pytest.mark.parametrize("args", [(), ("--threads=2",)])
def test_the_life_of_a_worker_process(
    make_site: Callable[..., Site], args: tuple[str, ...]
) -> None:
    site = make_site(apps=["early"])
    site.variables["EARLY"] = "life"
    site.enqueue_all([("early.tasks.lives",)] * 5 + [("early.tasks.leaves_thread", 0.2)])
    site.drain("--processes=1", *args)

    lines = site.lines("life")
    pid = lines[0][1]
    (worker,) = {one for job in site.jobs() for one in job.workers}
    assert lines[0] == ["started", pid, worker, "default"]
    assert lines[1:6] == [["runs", pid]] * 5
    assert lines[6:9] == [
        ["stopping", pid, worker, "default"],
        ["thread", pid],
        ["exits", pid],
    ]
    ((last, supervisor),) = lines[9:]
    assert (last, supervisor != pid) == ("exits", True)


def test_a_process_that_is_replaced_says_so(make_site: Callable[..., Site]) -> None:
    """And cleans up nothing that the others need."""
    site = make_site(apps=["early"])
    site.variables["EARLY"] = "life"
    worker = site.worker("--processes=1", "--max-tasks=2")
    assert all(site.wait_for(site.enqueue("early.tasks.has_folder")).returned for _ in range(8))
    assert site.stop(worker) == 0

    lines = site.lines("life")[:-1]
    assert len({words[1] for words in lines}) >= 3
    for pid in {words[1] for words in lines}:
        assert [words[0] for words in lines if words[1] == pid] == ["started", "stopping", "exits"]


@pytest.mark.parametrize("args", [("--max-tasks=1",), ()])
def test_a_thread_that_does_not_end(make_site: Callable[..., Site], args: tuple[str, ...]) -> None:
    """It is waited for as long as the shutdown may take, and no longer.

    On a busy machine, the supervisor may come first where it has told the process to stop.
    """
    site = make_site(apps=["early"])
    worker = site.worker("--processes=1", "--shutdown-timeout=1", *args)
    site.wait_for(site.enqueue("early.tasks.leaves_thread", 600))
    if args:
        site.wait_for_log("a-slow-thread")
        site.wait_for(site.enqueue("nothing"))
    was_killed = site.stop(worker, timeout=20) == 1
    by_itself = site.logged("ends and no longer waits for the threads a-slow-thread")
    assert len(by_itself) == 1 or (was_killed and not args)
    assert was_killed == bool(site.logged("ended with"))
    assert site.boards() == []


def test_generators_that_are_seeded_again(make_site: Callable[..., Site]) -> None:
    site = make_site(apps=["early"])
    site.variables["EARLY"] = "life"
    site.enqueue_all([("early.tasks.draws",)] * 20)
    site.drain("--processes=2", "--max-tasks=5")

    drawn = [number for job in site.jobs() for number in job.returned]
    assert len(set(drawn)) == len(drawn)
