"""Timeouts that really end a task, crashes, cancels: with real processes."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mainspring.core.jobs import State

from .databases import on_engines, on_postgresql
from .project.jobs import hang_names
from .sites import Site
from .waiting import wait_until

TIMEOUT = 0.5  # seconds, of the tasks in jobs.hangs
GRACE = 0.5


@pytest.fixture
def impatient_site(make_site: Callable[..., Site]) -> Site:
    """A site that gives tasks half a second to end."""
    return make_site(options={"GRACE": GRACE})


@contextmanager
def neighbours(site: Site, number: int = 3) -> Iterator[None]:
    """Run async tasks in the same process, which are to pay nothing for what happens to others."""
    names = [f"neighbour{i}" for i in range(number)]
    ids = site.enqueue_all([("ahold", name) for name in names])
    for name in names:
        site.wait_for_file(f"{name}.started")
    yield
    for name in names:
        site.touch(f"{name}.go")
    for job_id in ids:
        seen = site.wait_for(job_id)
        assert (seen.state, len(seen.workers), seen.errors) == (State.SUCCESSFUL, 1, [])


def ended_in_time(site: Site, name: str) -> None:
    job_id = site.enqueue(f"jobs.hangs.{name}")
    seen = site.wait_for(job_id)
    assert seen.state == State.FAILED
    assert seen.kinds == ["TaskTimeout"], seen
    assert len(seen.workers) == 1
    ((_, text, started_at, finished_at, _),) = seen.errors
    assert (finished_at - started_at) / 1e6 < TIMEOUT + GRACE + 1
    assert "hangs.py" in text, text  # the stack where it was


@pytest.mark.parametrize("name", hang_names.ALL)
def test_a_timeout_ends_it_and_no_neighbour_pays(impatient_site: Site, name: str) -> None:
    site = impatient_site
    site.worker("--processes=1")
    with neighbours(site):
        ended_in_time(site, name)


@pytest.mark.parametrize("name", ["sleeps", "loops", "holds_the_interpreter", "recurses_deeply"])
def test_a_timeout_ends_it_in_a_thread(impatient_site: Site, name: str) -> None:
    site = impatient_site
    site.worker("--processes=1", "--threads=3")
    held = site.enqueue("hold", "thread")
    site.wait_for_file("thread.started")
    with neighbours(site, 2):
        ended_in_time(site, name)
    site.touch("thread.go")
    seen = site.wait_for(held)
    assert (seen.state, len(seen.workers), seen.errors) == (State.SUCCESSFUL, 1, [])


@pytest.mark.parametrize("name", ["cleans_up", "acleans_up"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_task_that_is_told_can_clean_up(site: Site, name: str, threads: int) -> None:
    if threads > 1 and name == "cleans_up":
        pytest.skip("a sleep in a thread cannot be interrupted")
    site.worker("--processes=1", f"--threads={threads}")
    job_id = site.enqueue(f"jobs.hangs.{name}", "told")
    assert site.wait_for(job_id).kinds == ["TaskTimeout"]
    assert site.wait_for_file("told") == "cleaned up"
    assert not site.logged("Killing")


@pytest.mark.parametrize("name", ["wraps", "awraps"])
def test_what_it_raises_when_told_does_not_hide_the_timeout(site: Site, name: str) -> None:
    site.worker("--processes=1")
    seen = site.wait_for(site.enqueue(f"jobs.hangs.{name}"))
    assert seen.kinds == ["TaskTimeout"]
    assert "took longer than 0.3 s" in seen.errors[0][1]
    assert "ConnectionError: lost" in seen.errors[0][1]


def test_a_task_that_is_told_may_ask_for_a_retry(site: Site) -> None:
    site.worker("--processes=1")
    seen = site.wait_for(site.enqueue("jobs.hangs.wants_another_attempt", "told"))
    assert (seen.state, seen.returned, seen.kinds) == (State.SUCCESSFUL, "done", ["Retry"])


@on_engines
def test_a_killed_one_has_its_other_attempts(make_site: Callable[..., Site]) -> None:
    site = make_site(options={"GRACE": 0.2})
    site.worker("--processes=1")
    seen = site.wait_for(site.enqueue("jobs.hangs.hangs_once", "hung"))
    assert (seen.state, seen.returned, seen.kinds) == (State.SUCCESSFUL, "done", ["TaskTimeout"])
    assert len(seen.workers) == 2


def test_a_timeout_by_the_backends_default(make_site: Callable[..., Site]) -> None:
    site = make_site(options={"TIMEOUT": 0.3})
    site.worker("--processes=1")
    seen = site.wait_for(site.enqueue("sleep", 1000))
    assert (seen.state, seen.kinds) == (State.FAILED, ["TaskTimeout"])
    assert "0.3 s" in seen.errors[0][1]


# Crashes


@pytest.mark.parametrize(
    ("name", "args", "how"),
    [
        ("exits_hard", (7,), "exit code 7"),
        ("aexits_hard", (7,), "exit code 7"),
        ("crashes_in_c", (), "SIGSEGV"),
        ("jobs.tasks.crash", (), "SIGKILL"),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_crash_is_its_own_fault_alone(
    site: Site, name: str, args: tuple[int, ...], how: str, threads: int
) -> None:
    if name.rpartition(".")[2] == "crash" and threads > 1:
        pytest.skip("who sent a SIGKILL, nobody can tell")
    site.worker("--processes=1", f"--threads={threads}")
    held = site.enqueue("hold", "thread") if threads > 1 else None
    if held:
        site.wait_for_file("thread.started")
    is_async_kill = name == "jobs.tasks.crash"
    context = neighbours(site, 0 if is_async_kill else 3)
    with context:
        path = name if "." in name else f"jobs.hangs.{name}"
        seen = site.wait_for(site.enqueue(path, *args), timeout=30)
        assert (seen.state, seen.kinds) == (State.FAILED, ["WorkerLost"] * 3)
        assert how in seen.errors[0][1]
    if held:
        site.touch("thread.go")
        other = site.wait_for(held)
        assert (other.state, len(other.workers), other.errors) == (State.SUCCESSFUL, 1, [])


@on_postgresql
def test_a_poison_task_is_out_of_the_way_after_its_third_crash(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    ids = site.enqueue_all(
        [("nothing",)] * 5_000 + [("jobs.hangs.exits_hard", 1)] + [("nothing",)] * 5_000
    )
    poison = ids[5_000]
    site.drain("--processes=2", timeout=120)
    jobs = {seen.id: seen for seen in site.jobs()}
    seen = jobs.pop(poison)
    assert (seen.state, seen.kinds) == (State.FAILED, ["WorkerLost"] * 3)
    assert {one.state for one in jobs.values()} == {State.SUCCESSFUL}
    # None of their attempts is spent, but for those whose outcomes died with the process.
    spent = [one for one in jobs.values() if [k for k in one.kinds if k != "OutcomeLost"]]
    assert spent == []


# Cancels


@pytest.mark.parametrize("name", ["waits_to_be_cancelled", "awaits_to_be_cancelled"])
def test_a_running_call_is_cancelled_from_another_process(site: Site, name: str) -> None:
    site.worker("--processes=1")
    job_id = site.enqueue(f"jobs.hangs.{name}", "it")
    site.wait_for_file("it.started")
    site.cancel(job_id)
    cancelled_at = site.now()
    assert site.job(job_id).state == State.CANCELLED
    site.wait_for_file("it.ended", timeout=5)
    took = (site.folder / "it.ended").stat().st_mtime - cancelled_at
    assert took < 1 + 1  # on a busy machine
    site.wait_for_log("drops its outcome")
    seen = site.job(job_id)
    assert (seen.state, seen.kinds) == (State.CANCELLED, ["TaskCancelled"])


def test_a_cancelled_call_that_does_not_end_is_killed(make_site: Callable[..., Site]) -> None:
    site = make_site(options={"GRACE": 0.3})
    site.worker("--processes=1")
    with neighbours(site):
        job_id = site.enqueue("jobs.hangs.never_ends", "it")
        pid = int(site.wait_for_file("it.started"))
        site.cancel(job_id)
        site.wait_for_log("Killing")
        site.wait_for_log("SIGKILL")
        assert not site.is_alive(pid)
    seen = site.job(job_id)
    assert (seen.state, seen.kinds) == (State.CANCELLED, ["TaskCancelled"])


# Retries and progress


@on_engines
def test_a_task_that_fails_is_run_again_after_its_backoff(site: Site) -> None:
    site.worker("--processes=1")
    seen = site.wait_for(site.enqueue("jobs.hangs.fails_twice"))
    assert (seen.state, seen.returned, seen.kinds) == (State.SUCCESSFUL, 3, ["ValueError"] * 2)
    moments = [float(moment) for _, moment in site.lines("attempts")]
    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(waits) >= 0.05
    assert min(waits) < 0.5  # not with the stager's next look, a second later


def test_a_task_asks_for_a_retry_and_snoozes(site: Site) -> None:
    site.worker("--processes=1")
    seen = site.wait_for(site.enqueue("jobs.hangs.asks_for_a_retry"))
    assert (seen.returned, seen.kinds) == (2, ["Retry"])
    job_id = site.enqueue("jobs.hangs.snoozes", "open")
    wait_until(lambda: len(site.lines("looks")) >= 3)
    site.touch("open")
    seen = site.wait_for(job_id)
    assert (seen.returned, seen.kinds, len(seen.workers)) == (1, [], 1)


def test_progress_is_seen_while_it_runs(site: Site) -> None:
    site.worker("--processes=1")
    job_id = site.enqueue("jobs.hangs.makes_progress", "it")
    site.wait_for_file("it.started")
    wait_until(lambda: site.metadata(job_id).get("_progress") == [20_000, 20_000, "counting"])
    site.touch("it.go")
    seen = site.wait_for(job_id)
    assert seen.returned == {"seen": True}
    assert site.metadata(job_id) == {"seen": True, "_progress": [20_000, 20_000, "counting"]}
