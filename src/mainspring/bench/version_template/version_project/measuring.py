"""Measures one version: reads what to do from standard input, and writes figures as JSON.

Uses only what is public in both versions, and the table of jobs.
"""

import json
import subprocess
import sys
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import django
import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE: Final = 1.5  # seconds until all workers have noticed that a queue is paused
_READY: Final = 60.0  # seconds that workers have to start


class Measuring:
    """The measurements, with one worker tree that runs from :meth:`start` to the end."""

    def __init__(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        self._tree: psutil.Popen | None = None

    def enqueue(self, number: int) -> float:
        """Enqueue one by one; return the seconds."""
        from .tasks import no_op

        began = time.perf_counter()
        for i in range(number):
            no_op.enqueue(i)
        return time.perf_counter() - began

    def start(self, processes: int) -> float:
        """Start the workers and wait until they have run all jobs; return the seconds."""
        from .tasks import no_op

        began = time.perf_counter()
        command = ("-m", "django", "mainspring", "-v0", "worker", "--processes", str(processes))
        self._tree = psutil.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
        end = time.monotonic() + _READY
        while len(self._storage().stats().workers) < processes:
            if time.monotonic() > end:
                raise AssertionError(f"{processes} workers were not ready after {_READY:.0f} s")
            time.sleep(0.05)
        no_op.map(range(20_000)).wait(_READY)
        while self._count("state < 3"):
            time.sleep(0.05)
        return time.perf_counter() - began

    def drain(self, number: int) -> list[float]:
        """Return the seconds from the first start to the last end, and the processor time."""
        from django.db import connection

        from .tasks import no_op

        storage = self._storage()
        storage.pause("default")
        time.sleep(_PAUSE)
        mark = no_op.enqueue_many([(i,) for i in range(number)])[0].id
        before = self._used()
        storage.resume("default")
        while self._count("id >= %s AND state = 3", mark) < number:
            time.sleep(0.05)
        used = self._used() - before
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(finished_at) - min(started_at) FROM mainspring_job WHERE id >= %s",
                (mark,),
            )
            return [float(cursor.fetchone()[0]) / 1e6, used]

    def map(self, number: int) -> list[float]:
        """Return the seconds from ``map()`` to the last value, and the processor time."""
        from .tasks import no_op

        before, began = self._used(), time.perf_counter()
        deque(no_op.map(range(number)).values(), maxlen=0)
        return [time.perf_counter() - began, self._used() - before]

    def idle(self, seconds: float) -> float:
        """Return the processor time of the idle workers, in seconds per second."""
        before, began = self._used(), time.perf_counter()
        time.sleep(seconds)
        return (self._used() - before) / (time.perf_counter() - began)

    def park(self, number: int) -> int:
        """Enqueue so many maps for tomorrow, and calls with so many keys, whose rate is used up.

        Returns how many there are.
        """
        from django.db import transaction
        from django.utils import timezone

        from .tasks import hourly, no_op

        tomorrow = no_op.using(run_after=timezone.now() + timedelta(days=1))
        hourly.enqueue_many([(i,) for i in range(number)])
        while self._count("state < 3"):
            time.sleep(0.2)
        hourly.enqueue_many([(i,) for i in range(number)])
        for first in range(0, number, 500):
            with transaction.atomic():
                for _ in range(first, min(first + 500, number)):
                    tomorrow.map([1, 2])
        time.sleep(number / 500)  # all have been looked at, 200 groups in 10 ms at first
        return number

    def stop(self, _: int) -> int:
        """Stop the workers; return their exit status."""
        if self._tree is None:
            return 0
        self._tree.terminate()
        return int(self._tree.wait())

    def _count(self, where: str, *params: str) -> int:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM mainspring_job WHERE {where}", params)  # noqa: S608
            return int(cursor.fetchone()[0])

    def _storage(self) -> Any:
        from django.tasks import task_backends

        backend: Any = task_backends["default"]
        return backend.storage

    def _used(self) -> float:
        if self._tree is None:
            raise AssertionError("There are no workers")
        times = [one.cpu_times() for one in [self._tree, *self._tree.children(recursive=True)]]
        return float(sum(one.user + one.system for one in times))


def main() -> None:
    """Answer each line of standard input with a line, until the input ends."""
    django.setup()
    measuring = Measuring()
    try:
        for line in sys.stdin:
            verb, number = json.loads(line)
            measure: Callable[[int], object] = getattr(measuring, verb)
            sys.stdout.write(json.dumps(measure(number)) + "\n")
            sys.stdout.flush()
    finally:
        measuring.stop(0)


if __name__ == "__main__":
    main()
