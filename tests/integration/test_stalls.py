"""Tasks that wait for others in all slots of a worker: the log names them."""

import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.core.jobs import State

from .databases import on_engines
from .sites import Site
from .waiting import wait_until

SLOTS = "All slots of a worker process ({}) are taken by tasks that wait for others: "


@on_engines
@pytest.mark.parametrize(
    ("name", "options", "slots"),
    [
        ("wait_for_another", ["--threads=2"], 2),
        ("wait_for_a_map", [], 1),
        ("await_others", ["--async-concurrency=2"], 2),
    ],
    ids=["threads", "map", "async"],
)
def test_parents_in_all_slots_are_named(
    site: Site, name: str, options: list[str], slots: int
) -> None:
    ids = [site.enqueue(f"jobs.parents.{name}") for _ in range(slots)]
    site.worker("--processes=1", *options)
    (told,) = site.wait_for_log(SLOTS.format(slots))
    assert told["level"] == "WARNING"
    assert told["extra"]["task_ids"] == sorted(ids)
    for one in ids:
        assert f"jobs.parents.{name} id={one} for " in told["message"]


def test_parents_with_a_free_slot_beside_them_end_in_silence(site: Site) -> None:
    parent = site.enqueue("jobs.parents.wait_for_another")
    site.worker("--processes=1", "--threads=2")
    assert site.wait_for(parent, State.SUCCESSFUL).returned is True
    assert site.logged("All slots") == []


MEMORY = """
import django
from django.conf import settings

settings.configure(TASKS={"default": {
    "BACKEND": "mainspring.backends.memory.MemoryBackend", "OPTIONS": {options}}})
django.setup()
from mainspring import task

@task
def child(): return 1

@task
def parent():
    try:
        return child.enqueue().wait(4).return_value
    except TimeoutError:
        return 0

result = parent.enqueue()
print(result.id, result.wait(30).return_value)
"""


@pytest.mark.parametrize("options", [{}, {"PROCESSES": 1}], ids=["thread", "process"])
def test_in_memory_as_well(tmp_path: Path, options: dict[str, int]) -> None:
    script = tmp_path / "script.py"
    script.write_text(MEMORY.replace("{options}", repr(options)))
    ran = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=True
    )
    result_id, returned = ran.stdout.split()
    assert returned == "0"
    assert SLOTS.format(1) + f"__main__.parent id={result_id} for Result " in ran.stderr


def test_no_worker_is_told_in_the_callers_own_log(site: Site) -> None:
    waiting = site.manage("enqueue", "--wait", stdin=subprocess.PIPE)
    assert waiting.stdin is not None
    waiting.stdin.write('["nothing"]\n')
    waiting.stdin.flush()
    wait_until(lambda: site.logged("no worker of database 'default' (SQLite) is alive"), 20)
    site.worker("--processes=1")
    waiting.stdin.close()
    assert waiting.wait(30) == 0
