"""A queue in memory whose tasks run in child processes: of a script, and of no other process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mainspring.runtime.boards import boards
from mainspring.runtime.process_pool import remove_boards

from .databases import SiteDatabase
from .waiting import wait_until

SETUP = """
import os, signal, sys, time
import django
from django.conf import settings
options = {"PROCESSES": 2, "GRACE": 0.2}
memory = {"BACKEND": "mainspring.backends.memory.MemoryBackend", "OPTIONS": options}
settings.configure(TASKS={"default": memory}, LOGGING_CONFIG=None)
django.setup()
from mainspring import task

@task
def same(item):
    return item

@task
def add(one, other):
    return one + other

@task
def process(item):
    time.sleep(0.05)
    return os.getpid()

@task
def sleep(seconds):
    time.sleep(seconds)
    return seconds
"""

type Started = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Started]:
    """Starts scripts, which are ended with the test."""
    scripts: list[subprocess.Popen[str]] = []

    def start(script: str) -> "subprocess.Popen[str]":
        scripts.append(
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", SETUP + script],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return scripts[-1]

    yield start
    for script in scripts:
        script.kill()
        script.communicate()
        remove_boards(f"memory:{script.pid}:default")  # where all were killed


@pytest.fixture
def run(start: Started) -> Callable[[str], list[str]]:
    """Runs scripts; returns what they print."""

    def run(script: str) -> list[str]:
        process = start(script)
        printed, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert not left_over(process.pid)
        return printed.splitlines()

    return run


def left_over(pid: int) -> list[Path]:
    """Return the boards that the workers of a script have left."""
    found = []
    for board in boards(f"memory:{pid}:default"):
        found.append(board.path)
        board.close()
    return found


def descendants(script: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return all processes of a script: those that hold the queue, supervise, and run tasks."""
    return psutil.Process(script.pid).children(recursive=True)


def have_ended(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_maps(run: Callable[[str], list[str]]) -> None:
    """In order, while it runs; reduced; in several processes, none of them the script's."""
    printed = run("""
print(list(same.map(range(30_000)).values()) == list(range(30_000)))
print([result.return_value for result in same.map("abc")])
print(same.map(range(100_000), reduce=add).wait().result.return_value)
handle = same.map([])
print(list(handle.wait().values()), handle.is_finished)
pids = set(process.map(range(40)).values())
print(len(pids), os.getpid() in pids)
""")
    assert printed == ["True", "['a', 'b', 'c']", "4999950000", "[] True", "2 False"]


def test_large_values(run: Callable[[str], list[str]]) -> None:
    """Longer than what the system takes at once, in either direction."""
    printed = run("""
texts = [letter * 3_000_000 for letter in "abcdef"]
print(list(same.map(texts).values()) == texts)
print([same.enqueue(text).wait().return_value == text for text in texts])
""")
    assert printed == ["True", f"{[True] * 6}"]


def test_ordinary_calls(run: Callable[[str], list[str]]) -> None:
    """Sync, async, deferred and retried ones, and those that a task enqueues and waits for."""
    printed = run("""
from datetime import timedelta
from mainspring import Retry
from django.utils import timezone

@task
async def later(item):
    return item

@task
def outer(item):
    return [same.enqueue(item).wait(10).return_value, same.enqueue(item).status.value]

@task(max_attempts=3, backoff=0.01, takes_context=True)
def again(context):
    if context.attempt < 3:
        raise Retry("not yet")
    return context.attempt

results = [same.enqueue(1), later.enqueue(2), outer.enqueue(3), again.enqueue()]
results.append(same.using(run_after=timezone.now() + timedelta(seconds=0.2)).enqueue(5))
print([result.wait(20).return_value for result in results])
print([result.wait(20).return_value for result in same.enqueue_many([[6], [7]])])
""")
    assert printed == ["[1, 2, [3, 'READY'], 3, 5]", "[6, 7]"]


def test_failures_cost_nobody_else(run: Callable[[str], list[str]]) -> None:
    """What raises, hangs, hangs in C, or ends its process."""
    printed = run("""
@task(timeout=0.5, max_crashes=1)
def risky(item):
    if item == 100:
        raise ValueError("no")
    if item == 200:
        time.sleep(60)
    if item == 300:
        sum(range(10**12))
    if item == 400:
        os._exit(3)
    return item

handle = risky.map(range(500)).wait(50)
values = [item for item in range(500) if item not in (100, 200, 300, 400)]
print(list(handle.values(skip_failed=True)) == values)
for result in handle.errors():
    print(result.args, result.errors[-1].exception_class_path)
""")
    assert printed == [
        "True",
        "[100] builtins.ValueError",
        "[200] mainspring.exceptions.TaskTimeout",
        "[300] mainspring.exceptions.TaskTimeout",
        "[400] mainspring.exceptions.WorkerLost",
    ]


def test_the_script_waits_for_its_work(start: Started) -> None:
    script = start("""
@task
def say(item):
    time.sleep(0.1)
    os.write(1, f"{item}\\n".encode())  # in one piece, as others write there, too

@task
def tell(map_id):
    print("end", flush=True)

say.enqueue("one")
say.map(["two", "three", "four"], then=tell)
""")
    output, errors = script.communicate(timeout=60)
    printed = output.splitlines()
    assert (sorted(printed), errors) == (["end", "four", "one", "three", "two"], "")
    printed.remove("one")
    assert printed[-1] == "end"


def test_tasks_that_are_declared_later(run: Callable[[str], list[str]]) -> None:
    """As at a prompt: new ones and changed ones, after processes were forked."""
    printed = run("""
print(same.enqueue(1).wait(10).return_value)

@task
def new(item):
    return -item

print(list(new.map([1, 2]).values(10)))

exec(compile('''
@task
def same(item):
    return item + 1
''', "<prompt>", "exec"))

print(same.enqueue(1).wait(10).return_value)
""")
    assert printed == ["1", "[-1, -2]", "2"]


def test_ctrl_c_ends_all_processes(start: Started) -> None:
    """What runs has a moment, and what waits is not waited for."""
    script = start("""
handle = sleep.map([0.5] * 1000)
print("runs", flush=True)
handle.wait()
""")
    assert script.stdout is not None
    assert script.stdout.readline() == "runs\n"
    processes = wait_until(lambda: found if len(found := descendants(script)) == 4 else None)
    for one in [psutil.Process(script.pid), *processes]:  # as a terminal does
        one.send_signal(signal.SIGINT)

    _, errors = script.communicate(timeout=10)
    assert script.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1
    wait_until(lambda: have_ended(processes))
    assert not left_over(script.pid)


@pytest.mark.parametrize("also", ["", "supervisor"])
def test_nothing_survives_the_script(start: Started, also: str) -> None:
    """Killed while tasks run; where only workers are left, those that can."""
    script = start("""
handle = sleep.map([0.2] * 1000)
print("runs", flush=True)
handle.wait()
""")
    assert script.stdout is not None
    assert script.stdout.readline() == "runs\n"
    processes = wait_until(lambda: found if len(found := descendants(script)) == 4 else None)
    if also:
        supervisor = next(one for one in processes if one.children())
        supervisor.kill()
    script.kill()

    wait_until(lambda: have_ended(processes), 10)


def test_dead_processes_are_replaced(start: Started) -> None:
    """A worker, and the one that supervises them; what they ran runs again."""
    script = start("""
handle = process.map(range(100))
print("runs", flush=True)
print(len(list(handle.values())))
""")
    assert script.stdout is not None
    assert script.stdout.readline() == "runs\n"
    processes = wait_until(lambda: found if len(found := descendants(script)) == 4 else None)
    supervisor = next(one for one in processes if one.children())
    supervisor.children()[0].kill()
    wait_until(lambda: len(supervisor.children()) == 2)
    supervisor.kill()

    printed, _ = script.communicate(timeout=40)
    assert (script.returncode, printed) == (0, "100\n")


def test_says_that_the_queue_is_gone(start: Started) -> None:
    script = start("""
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
same.enqueue(1).wait(10)
print("runs", flush=True)
signal.sigwait({signal.SIGUSR1})
same.enqueue(2)
""")
    assert script.stdout is not None
    assert script.stdout.readline() == "runs\n"
    processes = wait_until(lambda: found if len(found := descendants(script)) == 4 else None)
    holder = next(one for one in processes if not one.children() and one.ppid() == script.pid)
    holder.kill()
    wait_until(lambda: have_ended(processes))
    os.kill(script.pid, signal.SIGUSR1)

    _, errors = script.communicate(timeout=10)
    assert script.returncode == 1
    assert "StoreUnavailable: The process that held the queue has ended." in errors


def test_a_pool_of_connections_is_not_shared(
    run: Callable[[str], list[str]],
    new_database: Callable[[str, Path], SiteDatabase],
    tmp_path: Path,
) -> None:
    """Neither one that the script has used itself, nor its connections."""
    data = new_database("postgresql", tmp_path)
    try:
        printed = run(f"""
from django.conf import settings
from django.db import connection, connections
options = {{"pool": {{"min_size": 1, "max_size": 1}}}}
settings.DATABASES = {{"default": {{**{data.settings!r}, "OPTIONS": options}}}}
connections.settings = connections.configure_settings(settings.DATABASES)

def ask(number):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, pg_backend_pid()", [number])
        return cursor.fetchone()

_, ours = ask(0)
connection.close()

@task
def selects(number):
    found, pid = ask(number)
    connection.close()
    return found if pid != ours else -1

print(list(selects.map(range(300)).values()) == list(range(300)))
print(ask(1) == (1, ours))
connection.close()
connection.close_pool()
""")
    finally:
        data.drop()
    assert printed == ["True", "True"]


@pytest.mark.parametrize("processes", [0, 2])
def test_tasks_that_fork(run: Callable[[str], list[str]], processes: int) -> None:
    """The child ends where the task ends; in threads of the script as well."""
    printed = run(f"""
options["PROCESSES"] = {processes}
import multiprocessing, warnings
warnings.simplefilter("ignore")  # of a fork beside threads

@task
def forks(how):
    pid = os.fork()
    if not pid:
        if how == "exits":
            sys.exit(3)
        if how == "raises":
            sys.excepthook = lambda *_: None
            raise ValueError(how)
        return None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

@task
def ends(_):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode

print([forks.enqueue(how).wait().return_value for how in ("exits", "raises", "returns")])
print(list(forks.map(["exits", "raises", "returns"] * 3).values()))
print(list(ends.map(range(4)).values()))
""")
    statuses = [3, 1, 0]
    assert printed == [str(statuses), str(statuses * 3), str([-signal.SIGTERM] * 4)]


ENQUEUES = """
@task(timeout=0.4)
def enqueues():
    while True:
        for _ in range(1000):
            same.enqueue(1)

@task(timeout=0.4)
def swallows():
    try:
        while True:
            time.sleep(0.01)
    except OSError:
        return os.getpid()
"""


def test_a_timeout_in_the_midst_of_a_verb_ends_the_call_alone(start: Started) -> None:
    """A TaskTimeout is an OSError, and does not mean here that the queue is gone."""
    script = start(
        ENQUEUES
        + "results = [one.enqueue() for one in (enqueues, swallows)]\n"
        + "results = [one.wait(timeout=30) for one in results]\n"
        + "for one in results:\n"
        + "    print(one.attempts, [e.exception_class_path for e in one.errors])\n"
    )
    printed, failed = script.communicate(timeout=60)
    assert printed.splitlines() == ["1 ['mainspring.exceptions.TaskTimeout']"] * 2, failed


def test_the_life_of_the_processes(run: Callable[[str], list[str]]) -> None:
    """They say when they begin and end, and call no exit handler of the script."""
    printed = run("""
import atexit
from mainspring.signals import worker_process_started, worker_process_stopping

def told(*, signal, details, **_):
    what = "started" if signal is worker_process_started else "stopping"
    say(f"{what} {details.backend}")

def say(line):
    os.write(1, f"{line}\\n".encode())  # in one piece, as other processes write there, too

@task
def expects(name):
    atexit.register(say, f"exit {name}")

worker_process_started.connect(told)
worker_process_stopping.connect(told)
atexit.register(say, "exit of the script")
expects.enqueue("of a worker").wait()
""")
    assert sorted(printed) == sorted(
        ["started default"] * 2
        + ["stopping default"] * 2
        + ["exit of a worker", "exit of the script"]
    )
