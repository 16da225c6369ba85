"""Tasks that start processes, by all the ways that Python has."""

import asyncio
import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from jobs.tasks import append, nothing, there, write
from mainspring import task


def _end(how: str) -> None:
    # Called in a child.
    if how == "exits":
        sys.exit(3)
    if how == "raises":
        raise ValueError("in the child")
    if how == "ends at once":
        os._exit(4)


def _status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork(how: str) -> int:
    pid = os.fork()
    if not pid:
        _end(how)
        return -1
    return _status_of(pid)


@task
def forks(how: str) -> int:
    """Fork a child that ends this way; return its status."""
    return _fork(how)


@task(atomic=True)
def forks_atomically(how: str) -> int:
    """Do the same in a transaction, which the child leaves as well."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO made (number) VALUES (1)")
        return _fork(how)


@task
async def aforks(how: str) -> int:
    """Fork a child of the event loop."""
    pid = os.fork()
    if not pid:
        if how == "awaits":
            await asyncio.sleep(0)
        _end(how)
        return -1
    return await asyncio.to_thread(_status_of, pid)


@task
def terminates(method: str) -> int:
    """Start a process and end it; return its exit code."""
    process: Any = multiprocessing.get_context(method).Process(target=time.sleep, args=(60,))  # type: ignore[attr-defined]
    process.start()
    process.terminate()
    process.join()
    return int(process.exitcode)


@task
def leaves_pool(method: str) -> None:
    """Leave a pool by an exception."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        pool.apply_async(time.sleep, (60,))
        raise LookupError("left")


@task
def pools(method: str) -> list[int]:
    """Have a pool compute."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])


@task
def executes(method: str) -> list[int]:
    """Have another kind of pool compute."""
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(abs, [-1, -2, -3]))


@task
def runs_program() -> list[int]:
    """Run a program, in both ways, and end one."""
    ended = subprocess.run([sys.executable, "-c", "import sys; sys.exit(5)"], check=False)
    forked = subprocess.run(["/bin/sh", "-c", "exit 6"], check=False, preexec_fn=os.getpid)
    sleeping = subprocess.Popen(["/bin/sleep", "60"])
    sleeping.terminate()
    return [ended.returncode, forked.returncode, sleeping.wait()]


def _session() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        return cursor.fetchone()[0]


def _ask(answers: Any) -> None:
    answers.put([_session() for _ in range(20)])


@task
def asks_in_children() -> list[list[int]]:
    """Use the database in several processes at once, and then in this one."""
    _session()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [context.Process(target=_ask, args=(answers,)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    return [*found, [_session() for _ in range(20)]]


def _enqueue() -> None:
    for _ in range(5):
        nothing.enqueue()


@task
def enqueues_in_child() -> int:
    """Enqueue in another process."""
    process = multiprocessing.get_context("fork").Process(target=_enqueue)
    process.start()
    process.join()
    return int(process.exitcode or 0)


@task
def leaves_child(name: str) -> None:
    """Lock a row, leave a process that sleeps, and go on until told to."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE made SET number = number + 1")
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        append("children", process.pid)
        write(f"{name}.started", str(os.getpid()))
        while not there(f"{name}.go"):
            time.sleep(0.002)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()


def _crash(how: str) -> None:
    if how == "crashes":
        faulthandler._sigsegv()  # type: ignore[attr-defined]


@task
def child_ends(how: str, name: str) -> None:
    """See a child end or crash, and go on until told to."""
    process = multiprocessing.get_context("fork").Process(target=_crash, args=(how,))
    process.start()
    process.join()
    write(f"{name}.started", str(process.exitcode))
    while not there(f"{name}.go"):
        time.sleep(0.002)


@task
def hangs_up_child() -> int:
    """Hang up on a child; return whether it could go on."""
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGHUP)
        return 0
    return _status_of(pid)


@task
def prints() -> list[int]:
    """Print; return the standard descriptors that are closed."""
    sys.stdout.write("printed\n")
    sys.stderr.write("printed\n")
    return [number for number in range(3) if not Path(f"/proc/self/fd/{number}").exists()]
