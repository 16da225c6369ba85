"""When things happen: settling, releasing, waking, staging, pruning."""

import json
import subprocess
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from mainspring.core.jobs import State

from .databases import on_engines, on_postgresql
from .processes import children
from .sites import Site
from .waiting import wait_until

POLL = 0.005  # seconds between two looks of the tests
NOISE = 0.04  # seconds that a busy machine may add, in the median


def learn(site: Site, queue: str = "first") -> None:
    """Have a worker learn that tasks are quick, so that it claims many at a time."""
    for _ in range(2):
        site.enqueue_all([("nothing",)] * 200, queue=queue)
        site.wait_for_all()


@pytest.mark.parametrize("slow", ["hold", "busy"])
def test_settled_while_the_next_one_runs(site: Site, slow: str) -> None:
    """At most 10 ms after the task's end."""
    worker = site.worker("--processes=1", "--queues=first,second")
    delays = []
    for index in range(9):
        learn(site)
        name = f"slow{index}"
        ids = site.enqueue_together(first=[("nothing",)], second=[(slow, name)])
        job = site.wait_for(*ids["first"], State.SUCCESSFUL)
        delays.append(site.now() - (job.finished_at or 0))
        assert not site.has(f"{name}.go")
        site.wait_for_file(f"{name}.started")
        site.touch(f"{name}.go")
        site.wait_for_all()

    assert median(delays) < 0.010 + POLL + NOISE, delays
    assert site.stop(worker) == 0


def test_settled_while_other_threads_and_coroutines_run(site: Site) -> None:
    worker = site.worker("--processes=1", "--threads=2")
    learn(site)
    delays = []
    site.enqueue_together(slow=[("hold", "t"), ("ahold", "a")])
    for name in "ta":
        site.wait_for_file(f"{name}.started")
    for name in ["nothing", "aprocess"] * 5:
        job = site.wait_for(site.enqueue(name))
        delays.append(site.now() - (job.finished_at or 0))

    for name in "ta":
        site.touch(f"{name}.go")
    site.wait_for_all()
    assert median(delays) < 0.010 + POLL + NOISE, delays
    assert site.stop(worker) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_slow_tasks_are_not_hoarded(site: Site, threads: int) -> None:
    """What waits behind a task that turns out slow is given back, and run by another process."""
    first = site.worker("--processes=1", f"--threads={threads}", "--queues=first,second")
    learn(site)
    slow: list[tuple[Any, ...]] = [("hold", f"slow{index}") for index in range(threads)]
    ids = site.enqueue_together(first=slow, second=[("process",)] * 20)
    for index in range(threads):
        site.wait_for_file(f"slow{index}.started")
    began = site.now()
    held = site.query("SELECT count(*) FROM mainspring_job WHERE state = 2")[0][0]
    assert held > threads

    wait_until(lambda: site.states().get(State.READY) == 20, 2)
    given_back_after = site.now() - began
    second = site.worker("--processes=1")
    pids = {site.wait_for(one).returned for one in ids["second"]}

    assert given_back_after < 0.3 + 10 * NOISE
    assert pids == {child.pid for child in children(second)}
    assert all(len(site.job(one).workers) == 1 for one in ids["second"])
    for index in range(threads):
        site.touch(f"slow{index}.go")
    site.wait_for_all()
    assert site.stop(first) == 0
    assert site.stop(second) == 0


def test_two_processes_share_a_few_slow_tasks(site: Site) -> None:
    worker = site.worker("--processes=2")
    learn(site, "default")
    site.enqueue_all([("sleep", 0.3)] * 4)

    jobs = [job for job in site.wait_for_all() if job.task == "sleep"]

    assert len({worker_id for job in jobs for worker_id in job.workers}) == 2
    took = max(job.finished_at or 0 for job in jobs) - min(job.started_at or 0 for job in jobs)
    assert took < 1.1
    assert site.stop(worker) == 0


@pytest.fixture
def ask(site: Site) -> Callable[..., tuple[str, float]]:
    """Another process that enqueues: gives the result's id and the moment before the enqueue."""
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    process = site.manage("enqueue", stdin=pipe, stdout=pipe, stderr=nowhere)
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def enqueue(*call: Any) -> tuple[str, float]:
        requests.write(json.dumps(call) + "\n")
        requests.flush()
        job_id, began = json.loads(answers.readline())
        return job_id, began

    enqueue("nothing")  # so that it has all imported
    return enqueue


@on_engines
@pytest.mark.parametrize("args", [("--processes=1",), ("--processes=2", "--threads=2")])
def test_woken_by_another_process(
    site: Site, ask: Callable[..., tuple[str, float]], args: tuple[str, ...]
) -> None:
    """An idle worker starts a task within 50 ms of its enqueue."""
    worker = site.worker(*args)
    site.wait_for_all()
    delays = []
    for name in ["nothing", "aprocess"] * 10:
        site.wait_for_quiet(0.02)  # so that it sleeps
        job_id, began = ask(name)
        delays.append((site.wait_for(job_id).started_at or 0) - began)

    assert median(delays) < 0.015 + NOISE, delays
    assert sorted(delays)[-2] < 0.05 + NOISE, delays
    assert site.stop(worker) == 0


@on_engines
def test_starts_when_its_moment_has_come(site: Site) -> None:
    """Within 100 ms, also where the worker sleeps longer than that."""
    worker = site.worker("--processes=1")
    wait_until(site.workers)
    site.wait_for_quiet(0.1)
    late = []
    for seconds in (0.15, 0.5, 1.3):
        due = site.now() + seconds
        job = site.wait_for(site.enqueue("nothing", after=seconds))
        late.append((job.started_at or 0) - due)

    assert min(late) > -0.002
    assert sorted(late)[1] < 0.1, late
    assert site.stop(worker) == 0


def test_starts_when_its_moment_has_come_though_another_runs(site: Site) -> None:
    """A deferred task is staged, and run by whoever is free, while a process is busy."""
    worker = site.worker("--processes=2")
    site.enqueue("hold", "t")
    site.wait_for_file("t.started")
    late = []
    for _ in range(3):
        due = site.now() + 0.3
        job = site.wait_for(site.enqueue("nothing", after=0.3))
        late.append((job.started_at or 0) - due)

    assert min(late) > -0.002
    assert sorted(late)[1] < 0.1 + NOISE, late
    site.touch("t.go")
    assert site.stop(worker) == 0


@on_postgresql
def test_results_are_pruned(make_site: Callable[..., Site]) -> None:
    site = make_site(options={"RESULT_TTL": 1})
    worker = site.worker("--processes=1")
    waiting = site.enqueue("nothing", after=3600)
    old = site.enqueue_all([("nothing",)] * 1200)

    wait_until(lambda: len(site.jobs()) == 1, 10)

    assert site.jobs()[0].id == waiting
    # The log follows the last step.
    wait_until(lambda: sum(told["extra"]["pruned"] for told in site.logged("Pruned")) == len(old))
    assert site.stop(worker) == 0


def test_results_are_kept_for_long_by_default(site: Site) -> None:
    """A worker that starts prunes at once what is older than a week, and nothing else."""
    ids = site.enqueue_all([("nothing",)] * 3)
    site.drain("--processes=1")
    week = 7 * 24 * 3600 * 10**6
    old = f"{int(ids[0][:12], 16) - week // 1000 - 1000:012x}{ids[0][12:]}"
    site.execute(
        "UPDATE mainspring_job SET id = ?, finished_at = finished_at - ? WHERE id = ?",
        [(old, week + 10**6, ids[0])],
    )
    worker = site.worker("--processes=1")

    wait_until(lambda: {job.id for job in site.jobs()} == set(ids[1:]), 5)
    assert site.stop(worker) == 0


@on_postgresql
def test_an_idle_worker_costs_next_to_nothing(site: Site) -> None:
    worker = site.worker("--processes=2", "--threads=2")
    wait_until(lambda: len(site.workers()) == 2)
    site.enqueue_all([("nothing",), ("aprocess",)])
    site.wait_for_all()
    site.wait_for_quiet(0.5)

    def used() -> float:
        return sum(sum(child.cpu_times()[:2]) for child in children(worker))

    before = used()
    site.wait_for_quiet(3)

    assert (used() - before) / 3 < 0.02  # of a core, both processes together
    assert site.stop(worker) == 0
