"""The worker: what it runs, in how many processes, threads and coroutines."""

from collections.abc import Callable

from mainspring.core.jobs import State

from .databases import on_engines, on_postgresql
from .processes import children
from .sites import Site
from .waiting import wait_until


@on_engines
def test_drain_runs_everything_and_exits(site: Site) -> None:
    ids = site.enqueue_all([("add", i, i) for i in range(500)])

    site.drain("--processes=2")

    assert [site.job(one).returned for one in ids[:5]] == [0, 2, 4, 6, 8]
    assert site.states() == {State.SUCCESSFUL: 500}
    assert site.workers() == []
    assert site.boards() == []
    assert "Ctrl-C stops" in site.output.read_text()


@on_engines
def test_drain_runs_what_has_become_due(site: Site) -> None:
    due = site.enqueue("nothing", after=-5)
    later = site.enqueue("nothing", after=3600)

    site.drain("--processes=1")

    assert site.job(due).state == State.SUCCESSFUL
    assert site.job(later).state == State.SCHEDULED


def test_drain_waits_for_what_runs(site: Site) -> None:
    """A process that finds nothing may leave; the others finish what they have."""
    site.enqueue_all([("sleep", 0.3), ("asleep", 0.3)])

    site.drain("--processes=2")

    assert site.states() == {State.SUCCESSFUL: 2}


def test_drain_recycles_and_still_runs_everything(site: Site) -> None:
    site.enqueue_all([("process",)] * 60)

    site.drain("--processes=2", "--max-tasks=10")

    assert site.states() == {State.SUCCESSFUL: 60}
    assert len({job.returned for job in site.jobs()}) >= 5


@on_engines
def test_drain_runs_what_a_killed_process_left(site: Site) -> None:
    site.enqueue_all([("crash_once", "crashed"), *[("sleep", 0.01)] * 20])

    site.drain("--processes=1")

    assert site.states() == {State.SUCCESSFUL: 21}
    assert site.boards() == []


def test_processes_work_at_the_same_time(site: Site) -> None:
    worker = site.worker("--processes=3")
    for name in "abc":
        site.enqueue("hold", name)

    pids = {site.wait_for_file(f"{name}.started") for name in "abc"}

    assert pids == {str(child.pid) for child in children(worker)}
    for name in "abc":
        site.touch(f"{name}.go")
    assert {str(job.returned) for job in site.wait_for_all()} == pids
    assert site.stop(worker) == 0


def test_threads_work_at_the_same_time(site: Site) -> None:
    worker = site.worker("--processes=1", "--threads=4")
    for name in "abcd":
        site.enqueue("hold", name)

    pids = {site.wait_for_file(f"{name}.started") for name in "abcd"}
    fifth = site.enqueue("hold", "e")

    assert len(pids) == 1
    assert len({site.lines(f"{name}.runs")[0][1] for name in "abcd"}) == 4
    for name in "abcde":
        assert site.has("e.started") == (name == "e")
        site.touch(f"{name}.go")
        if name == "a":
            site.wait_for_file("e.started")
            assert site.job(fifth).state == State.RUNNING
            break
    for name in "bcde":
        site.touch(f"{name}.go")
    site.wait_for_all()
    assert site.stop(worker) == 0


def test_drain_in_threads(site: Site) -> None:
    site.enqueue_all([("ledger",), ("aprocess",)] * 500)

    site.drain("--processes=2", "--threads=4")

    assert site.states() == {State.SUCCESSFUL: 1000}
    assert len(site.lines()) == 500
    assert len({task_id for task_id, *_ in site.lines()}) == 500


def test_async_tasks_work_at_the_same_time_beside_a_long_sync_one(site: Site) -> None:
    worker = site.worker("--processes=1")
    site.enqueue("hold", "sync")
    site.wait_for_file("sync.started")

    names = [f"a{i}" for i in range(20)]
    ids = site.enqueue_all([("ahold", name) for name in names])
    for name in names:
        site.wait_for_file(f"{name}.started")
    for name in names:
        site.touch(f"{name}.go")

    for one in ids:
        assert site.wait_for(one).state == State.SUCCESSFUL
    assert not site.has("sync.go")
    site.touch("sync.go")
    site.wait_for_all()
    assert site.stop(worker) == 0


def test_async_concurrency_is_kept_and_nothing_hoarded(site: Site) -> None:
    """What a full event loop cannot start is left for other processes."""
    site.enqueue_all([("ahold", f"a{i}") for i in range(30)])
    worker = site.worker("--processes=1", "--async-concurrency=3")

    wait_until(lambda: sum(site.has(f"a{i}.started") for i in range(30)) == 3)
    wait_until(lambda: site.states() == {State.RUNNING: 3, State.READY: 27}, 5)
    site.wait_for(site.enqueue("nothing", priority=-10), timeout=5)  # the main thread is free
    other = site.worker("--processes=1", "--async-concurrency=3")
    wait_until(lambda: sum(site.has(f"a{i}.started") for i in range(30)) == 6)
    assert len({tuple(*site.lines(f"a{i}.runs")) for i in range(30) if site.has(f"a{i}.runs")}) == 2

    for i in range(30):
        site.touch(f"a{i}.go")
    site.wait_for_all()
    assert site.stop(worker) == 0
    assert site.stop(other) == 0


@on_postgresql
def test_sync_and_async_tasks_share_a_queue(site: Site) -> None:
    site.enqueue_all([("asleep", 0.02), ("sleep", 0.001), ("nothing",)] * 100)

    site.drain("--processes=2", "--threads=2")

    assert site.states() == {State.SUCCESSFUL: 300}
    assert all(len(job.workers) == 1 for job in site.jobs())


@on_postgresql
def test_queues_in_order_of_preference(site: Site) -> None:
    for queue in ("low", "other", "high", "low", "more", "high"):
        site.enqueue("order", queue, queue=queue)

    site.drain("--processes=1", "--queues=high,*,low")

    names = [name for (name,) in site.lines("order")]
    assert names[:2] == ["high"] * 2
    assert set(names[2:4]) == {"other", "more"}
    assert names[4:] == ["low"] * 2


def test_queues_that_are_not_named_are_left(site: Site) -> None:
    taken = site.enqueue("nothing", queue="mail")
    left = site.enqueue("nothing")

    site.drain("--processes=1", "--queues=mail")

    assert site.job(taken).state == State.SUCCESSFUL
    assert site.job(left).state == State.READY


@on_postgresql
def test_by_priority_then_the_newest_first(site: Site) -> None:
    for name in ("old", "new"):
        site.enqueue("order", name)
    site.enqueue("order", "urgent", priority=50)
    site.enqueue("order", "idle", priority=-50)

    site.drain("--processes=1")

    assert [name for (name,) in site.lines("order")] == ["urgent", "new", "old", "idle"]


def test_oldest_first_with_fifo(make_site: Callable[..., Site]) -> None:
    site = make_site(options={"ORDER": "fifo"})
    for name in "abcd":
        site.enqueue("order", name)

    site.drain("--processes=1")

    assert [name for (name,) in site.lines("order")] == list("abcd")


@on_engines
def test_another_process_waits_for_results(site: Site) -> None:
    worker = site.worker("--processes=2")
    assert site.call(*[("add", i, i) for i in range(20)]) == [2 * i for i in range(20)]
    (ended,) = site.call(("asleep", 0.3))
    assert ended <= site.now()
    assert site.stop(worker) == 0
