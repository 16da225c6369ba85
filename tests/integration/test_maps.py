"""Maps with real worker processes: values, failures, kills, uneven work, reduced values."""

import json
import random
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

from mainspring.core.jobs import State

from .databases import on_engines
from .processes import children
from .sites import Site
from .waiting import wait_until

_PRELUDE = """
import json
from django.tasks import task_backends
from jobs.mapped import *
get_map = task_backends["default"].get_map
def tell(*values):
    print("TOLD", json.dumps(values))
"""


def ask(site: Site, code: str, timeout: float = 60) -> list[Any]:
    """Run code in another process; return what it has told."""
    process = site.manage("shell", "--no-imports", "-c", _PRELUDE + code, stdout=subprocess.PIPE)
    printed, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, printed
    (line,) = [one for one in printed.splitlines() if one.startswith("TOLD ")]
    told: list[Any] = json.loads(line.removeprefix("TOLD "))
    return told


def start_map(site: Site, call: str) -> str:
    """Enqueue a map; return its id."""
    return str(ask(site, f"tell({call}.id)")[0])


@on_engines
@pytest.mark.parametrize("threads", [1, 3], ids=["main-thread", "threads"])
def test_all_values_come_in_order(site: Site, threads: int) -> None:
    site.worker("--processes=2", f"--threads={threads}")
    values, total, done, failed = ask(
        site,
        "h = same.map(range(20_000))\n"
        "h.wait(60)\n"
        "p = h.progress\n"
        "tell(list(h.values()) == list(range(20_000)), p.total, p.done, p.failed)",
    )
    assert (values, total, done, failed) == (True, 20_000, 20_000, 0)


@on_engines
def test_failures_hangs_and_crashes_cost_only_the_call_itself(site: Site) -> None:
    site.worker("--processes=2")
    map_id = start_map(site, "unruly.map(range(2000))")
    values, errors, failed = ask(
        site,
        f"h = get_map({map_id!r})\n"
        "h.wait(90)\n"
        "tell(list(h.values(skip_failed=True)),\n"
        "  [(e.id, e.errors[-1].exception_class_path.rpartition('.')[2]) for e in h.errors()],\n"
        "  h.progress.failed)",
        120,
    )
    raised = dict.fromkeys(range(3, 2000, 100), "ValueError")
    expected = raised | dict.fromkeys((7, 1007), "TaskTimeout")
    expected |= dict.fromkeys((507, 1507), "WorkerLost")
    found = {int(one.partition(":")[2]): kind for one, kind in errors}
    assert found == expected
    assert values == [number for number in range(2000) if number not in expected]
    assert failed == len(expected)


@pytest.mark.parametrize("threads", [1, 2], ids=["main-thread", "threads"])
def test_what_a_task_raises_by_itself_is_its_own(site: Site, threads: int) -> None:
    """Not taken for what somebody had told it, which would be run again or be the map's end."""
    site.worker("--processes=1", f"--threads={threads}")
    values, errors = ask(
        site,
        "h = gives_up.map(range(40))\n"
        "h.wait(60)\n"
        "tell(list(h.values(skip_failed=True)),\n"
        "  sorted({e.errors[-1].exception_class_path for e in h.errors()}))",
    )
    assert values == [number for number in range(40) if number % 10 not in (3, 7)]
    assert errors == ["mainspring.exceptions.TaskCancelled", "mainspring.exceptions.TaskTimeout"]


@pytest.mark.parametrize("threads", [1, 2], ids=["main-thread", "threads"])
def test_what_has_timed_out_has_failed_even_if_it_swallows_that(site: Site, threads: int) -> None:
    site.worker("--processes=1", f"--threads={threads}")
    values, errors = ask(
        site,
        "h = swallows.map(range(30))\n"
        "h.wait(60)\n"
        "tell(list(h.values(skip_failed=True)),\n"
        "  [e.errors[-1].exception_class_path.rpartition('.')[2] for e in h.errors()])",
    )
    assert values == [number for number in range(30) if number % 10 != 3]
    assert errors == ["TaskTimeout"] * 3


def test_one_that_hangs_in_c_code_is_killed_alone(site: Site) -> None:
    site.settings["options"] = {"GRACE": 0.5}
    site.worker("--processes=2")
    values, errors = ask(
        site,
        "h = stuck.map(range(100))\n"
        "h.wait(60)\n"
        "tell(list(h.values(skip_failed=True)),\n"
        "  [(e.id, e.errors[-1].traceback) for e in h.errors()])",
    )
    assert values == [number for number in range(100) if number != 40]
    ((call_id, text),) = errors
    assert call_id.endswith(":40")
    assert "did not end when told to" in text


@on_engines
def test_each_call_has_one_result_when_workers_are_killed(site: Site) -> None:
    worker = site.worker("--processes=3")
    map_id = start_map(site, "noted.map(range(3000), reduce=add)")
    for number in range(5):
        wait_until(lambda least=(number + 1) * 300: len(site.lines("ran")) > least, 60)
        with suppress(psutil.NoSuchProcess, IndexError):
            random.choice(children(worker)).kill()
    good, reduced, progress, states = ask(
        site,
        f"h = get_map({map_id!r})\n"
        "h.wait(90)\n"
        "tell(list(h.values()) == list(range(3000)), h.result.return_value, h.progress.done,\n"
        "  sorted({r.status for r in h}))",
        120,
    )
    assert (good, reduced, progress) == (True, sum(range(3000)), 3000)
    assert states == ["SUCCESSFUL"]
    assert State.RUNNING not in site.states()
    # What was run again is what the killed ones had in their hands, a few milliseconds of work.
    assert len(site.lines("ran")) < 3000 + 5 * 50


@on_engines
def test_values_are_merged_in_their_order(site: Site) -> None:
    site.worker("--processes=2")
    value, status = ask(
        site,
        "h = letter.map(range(5000), reduce=join)\n"
        "h.wait(60)\n"
        "tell(h.result.return_value, h.result.status)",
    )
    assert status == "SUCCESSFUL"
    assert value == "".join(f"{number}," for number in range(5000))


@pytest.mark.parametrize("threads", [1, 3], ids=["main-thread", "threads"])
def test_values_of_slow_calls_are_merged(site: Site, threads: int) -> None:
    """Rows are divided and merged all the time; nobody is told to end for it."""
    site.worker("--processes=2", f"--threads={threads}")
    value, failed, errors = ask(
        site,
        "h = noted.map(range(1500), reduce=add)\n"
        "h.wait(60)\n"
        "tell(h.result.return_value, h.failed, sum(len(r.errors) for r in h))",
    )
    assert (value, failed, errors) == (sum(range(1500)), 0, 0)
    assert len(site.lines("ran")) == 1500


def test_a_merge_that_takes_too_long_is_ended(site: Site) -> None:
    """Also within a row: then it is left to a merge, which has a result to tell of it."""
    site.worker("--processes=1")
    status, kinds, failed = ask(
        site,
        "h = same.map(range(40), reduce=endless)\n"
        "h.wait(60)\n"
        "tell(h.result.status, [e.exception_class_path for e in h.result.errors], h.failed)",
    )
    assert (status, failed) == ("FAILED", 0)
    assert kinds == ["mainspring.exceptions.TaskTimeout"]


@on_engines
def test_slow_calls_are_shared_out(site: Site) -> None:
    """A row that turns out slow is taken over by who has nothing to do."""
    site.worker("--processes=4")
    wait_until(lambda: len(site.workers()) == 4)
    took, longest = ask(
        site,
        "import time\n"
        "items = [0.02] * 60 + [0.3] * 8 + [0.01] * 100\n"
        "began = time.monotonic()\n"
        "h = sleep.map(items)\n"
        "h.wait(60)\n"
        "tell(time.monotonic() - began, sum(items))",
    )
    # One by itself takes 4.6 s; four, of which nobody is idle, 1.2 s where they have cores enough.
    assert took < longest * 0.75


@on_engines
def test_calls_are_retried_by_themselves(site: Site) -> None:
    site.worker("--processes=2")
    good, attempts = ask(
        site,
        "h = second_time.map(range(100))\n"
        "h.wait(60)\n"
        "tell(list(h.values()) == list(range(100)), [r.attempts for r in h])",
    )
    assert good
    assert attempts == [2 if number % 10 == 0 else 1 for number in range(100)]


def test_failed_calls_are_run_again_on_demand(site: Site) -> None:
    site.worker("--processes=1")
    before, again, after = ask(
        site,
        "h = second_time.using(max_attempts=1).map(range(50))\n"
        "h.wait(60)\n"
        "before = h.failed\n"
        "again = h.retry_failed()\n"
        "h.wait(60)\n"
        "tell(before, again, list(h.values()) == list(range(50)))",
    )
    assert (before, again, after) == (5, 5, True)


@pytest.mark.parametrize("name", ["asame", "told"])
def test_what_cannot_share_a_row_has_one_of_its_own(site: Site, name: str) -> None:
    site.worker("--processes=2")
    map_id, values = ask(
        site, f"h = {name}.map(range(50))\nh.wait(60)\ntell(h.id, list(h.values()))"
    )
    if name == "told":
        assert values == [f"{map_id}:{number} {number} [{number}]" for number in range(50)]
    else:
        assert values == list(range(50))


@on_engines
def test_what_follows_is_enqueued_once(site: Site) -> None:
    site.worker("--processes=2")
    map_id = start_map(site, "same.map(range(1000), then=note_end)")
    wait_until(lambda: site.lines("ended"), 30, "the task that follows")
    site.wait_for_all()
    assert site.lines("ended") == [[map_id]]


@on_engines
@pytest.mark.parametrize("threads", [1, 2], ids=["main-thread", "threads"])
def test_a_map_is_cancelled_while_it_runs(site: Site, threads: int) -> None:
    worker = site.worker("--processes=1", f"--threads={threads}")
    map_id = start_map(site, "hold.map(['', '', 'a', *([''] * 200)])")
    wait_until(lambda: site.lines("held"), 30, "the call that holds")
    (cancelled,) = ask(site, f"tell(get_map({map_id!r}).cancel())")
    assert cancelled > 0
    later = site.enqueue("jobs.mapped.same", 1)
    if threads == 1:  # its sleep is interrupted
        site.wait_for(later)
    site.touch("a.go")
    site.wait_for(later)
    assert site.stop(worker) == 0
    finished, failed = ask(site, f"h = get_map({map_id!r})\ntell(h.is_finished, h.failed)")
    assert finished
    assert failed == cancelled


def test_the_log_tells_of_failures_and_of_rows(make_site: Callable[..., Site]) -> None:
    """Not of each call that is well: a map of millions would be lost in it."""
    site = make_site(tasks_log="INFO")
    worker = site.worker("--processes=1")
    ask(site, "h = gives_up.map(range(10))\nh.wait(60)\ntell(1)")
    assert site.stop(worker) == 0
    told = site.log("django.tasks")
    assert {record["level"] for record in told} == {"ERROR"}
    assert len(told) == 2
    rows = site.logged(" ran; ")
    assert sum(record["extra"]["ran"] for record in rows) == 10
    assert sum(record["extra"]["raised"] for record in rows) == 2


def test_what_runs_is_finished_and_the_rest_released_at_the_end_of_a_worker(site: Site) -> None:
    worker = site.worker("--processes=1")
    map_id = start_map(site, "sleep.map([0.05] * 200)")
    wait_until(lambda: State.SUCCESSFUL in site.states(), 30, "the first values")
    assert site.stop(worker) == 0
    assert State.RUNNING not in site.states()
    site.drain("--processes=4")
    (values,) = ask(site, f"tell(list(get_map({map_id!r}).values()))")
    assert values == [0.05] * 200


def test_a_map_that_died_at_its_very_end_is_finished(site: Site) -> None:
    """Its last row was settled, and nobody went on with it."""
    map_id = start_map(site, "same.map(range(10), reduce=add)")
    site.drain()
    ask(
        site,
        "from django.db import connection\n"
        "with connection.cursor() as c:\n"
        "  c.execute('UPDATE mainspring_map SET level = 0, result_id = NULL, '\n"
        "    'finished_at = NULL')\n"
        f"  c.execute('DELETE FROM mainspring_job WHERE id LIKE %s', ['{map_id[:20]}2%%'])\n"
        "tell(1)",
    )
    site.drain()
    (value,) = ask(site, f"tell(get_map({map_id!r}).result.return_value)")
    assert value == sum(range(10))
