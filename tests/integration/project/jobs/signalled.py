"""Tasks that change what their process does on signals, and do not change it back."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Never

from jobs.tasks import hold
from mainspring import task


def _fail(*_: Any) -> Never:
    raise LookupError("of the task before")


@task
def leaves_alarm() -> None:
    """Have one's own handler called in a moment."""
    signal.signal(signal.SIGALRM, _fail)
    signal.setitimer(signal.ITIMER_REAL, 0.2)


@task
def leaves_timer() -> None:
    """Have the process ended in a moment, and again and again."""
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.1)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.2, 0.1)
    signal.setitimer(signal.ITIMER_PROF, 0.2, 0.1)


@task
def takes_over() -> None:
    """Be deaf to whoever wants the process to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)


@task
def blocks() -> None:
    """Let no signal through."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@task
def runs_loop() -> None:
    """Run a loop that handles signals, and, as asyncio has it, nobody does afterwards."""

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        await asyncio.sleep(0)

    asyncio.run(main())


@task
def takes_over_and_holds(name: str) -> int:
    """Do as ``hold`` does, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    return hold.func(name)


@task
def runs_loop_and_holds(name: str) -> int:
    """Do as ``hold`` does, with nobody who handles SIGTERM."""
    runs_loop.func()
    return hold.func(name)


@task
def dispositions() -> dict[str, str]:
    """Return what a program that a task starts ignores and blocks, as the kernel has it."""
    text = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE, check=True).stdout
    lines = dict(line.split(":\t", 1) for line in text.decode().splitlines() if ":\t" in line)
    return {name: lines[name].strip() for name in ("SigIgn", "SigBlk")}


@task
def times_out_by_itself() -> str:
    """Use an alarm as it is meant to be used."""
    signal.signal(signal.SIGALRM, _fail)
    signal.alarm(1)
    try:
        time.sleep(1000)
    except LookupError:
        return "in time"
    return "never"


@task
def handlers() -> list[str]:
    """Return how signals are handled, by Python."""
    found = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    timers = [
        signal.getitimer(timer)
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    ]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [repr(one) for one in (found, timers, mask)]


@task
def works(seconds: float) -> str:
    """Compute and sleep for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
        Path("/").exists()
    return "worked"
