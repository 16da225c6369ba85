"""Another process on the same store: ``Contender`` starts it, the rest of this file runs in it."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).parents[2]
_TIMEOUT = 30  # seconds


class Contender:
    """A process that plays one of the roles below; it talks in lines of JSON."""

    def __init__(self, store: Any, role: str, *arguments: Any) -> None:
        settings = {
            "DATABASES": {"default": {}, "store": _plain(store.database)},
            "TASKS": store.tasks,
            "INSTALLED_APPS": ["mainspring.backends.database", "tests"],
            "DATABASE_ROUTERS": ["tests.contract.router.StoreRouter"],
            "USE_TZ": True,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.contender", role, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env={**os.environ, "MAINSPRING_CONTENDER": json.dumps(settings)},
        )

    def __enter__(self) -> Self:
        self.answer()  # it is there
        return self

    def tell(self, what: Any) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def tell_no_more(self) -> None:
        """Say that no line will follow."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None

    def answer(self) -> Any:
        """Wait for a line and return what it says."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _TIMEOUT)
        assert ready, "the process does not answer"
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate(timeout=_TIMEOUT)
        assert kind is not None or self._process.returncode == 0


def _plain(database: dict[str, Any]) -> dict[str, Any]:
    return {**database, "NAME": str(database["NAME"])}


# In the process


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


def hear() -> Any:
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def produce_one_by_one() -> None:
    """Enqueue a job whenever told, and answer when that was done."""
    from tests.contract.tasks import add

    say("ready")
    while hear():
        add.enqueue(1)
        say(time.monotonic())


def produce(number: int) -> None:
    """Enqueue many calls, one by one; answer their ids."""
    from tests.contract.tasks import add

    say("ready")
    hear()
    say([add.enqueue(i).id for i in range(number)])


def produce_unique(threads: int) -> None:
    """Whenever told a number, enqueue its call in all threads at once; answer the ids."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from django.db import connections

    from tests.contract.tasks import once

    barrier = Barrier(threads)

    def enqueue(number: int) -> str:
        barrier.wait()
        return once.enqueue(number).id

    with ThreadPoolExecutor(threads) as pool:
        say("ready")
        while (number := hear()) is not None:
            say(list(pool.map(enqueue, [number] * threads)))

        def close() -> None:
            barrier.wait()  # so that each thread has one to do
            connections.close_all()

        for done in [pool.submit(close) for _ in range(threads)]:
            done.result()


def work(batch: int) -> None:
    """Claim and settle until told no more; answer the ids of what was claimed, and lost."""
    from django.tasks import task_backends

    from mainspring.core import clock, outcomes
    from mainspring.core.jobs import Worker

    storage = task_backends["default"].storage
    worker = Worker(f"contender-{os.getpid()}", os.getpid())
    storage.heartbeat(worker, clock.now())
    say("ready")
    hear()
    taken: list[str] = []
    lost: list[str] = []
    settled: list[Any] = []
    while True:
        is_last = bool(select.select([sys.stdin], [], [], 0)[0])
        dropped, jobs = storage.settle_and_claim(worker, settled, ["*"], batch)
        lost += dropped
        taken += [job.id for job in jobs]
        now = clock.now()
        settled = [outcomes.succeeded(job, worker.id, now, now, b"1") for job in jobs]
        if not jobs:
            if is_last:
                break
            storage.wait_for_work(0.1)
    say([taken, lost])
    storage.retire(worker)
    storage.close()


def work_within_limits(batch: int) -> None:
    """Claim, admit and settle until nothing is held; answer when each job was held by this one.

    In nanoseconds of the clock that all processes share: from after its claim to before its settle.
    """
    from django.tasks import task_backends

    from mainspring.core import clock, outcomes
    from mainspring.core.jobs import Worker

    storage = task_backends["default"].storage
    worker = Worker(f"contender-{os.getpid()}", os.getpid())
    storage.heartbeat(worker, clock.now())
    say("ready")
    hear()
    spans: list[tuple[int, int]] = []
    jobs: list[Any] = []
    began = 0
    while jobs or storage.stats().held:
        if not jobs:
            storage.wait_for_work(0.02)
            storage.admit(clock.now())
        now = clock.now()
        settled = [outcomes.succeeded(job, worker.id, now, now, b"1") for job in jobs]
        spans += [(began, time.monotonic_ns()) for _ in jobs]
        groups = {job.limit_group for job in jobs}
        lost, jobs = storage.settle_and_claim(worker, settled, ["*"], batch, groups)
        assert not lost
        began = time.monotonic_ns()
    say(spans)
    storage.retire(worker)
    storage.close()


def work_on_maps(seed: int) -> None:
    """Run the rows of maps until told no more, some of them in parts, and bring maps to their end.

    Answer how many of its divisions were refused, and the ids of the other jobs that it claimed.
    """
    import random

    from django.tasks import task_backends

    from mainspring.core import chunks, clock, outcomes
    from mainspring.core.jobs import Worker
    from tests.contract.maps import division, returned, split

    storage = task_backends["default"].storage
    worker = Worker(f"contender-{os.getpid()}", os.getpid())
    storage.heartbeat(worker, clock.now())
    chance = random.Random(seed)
    refused, others = 0, []
    say("ready")
    hear()
    while True:
        is_last = bool(select.select([sys.stdin], [], [], 0)[0])
        jobs = storage.claim(worker, ["*"], 3)
        for job in jobs:
            spec = chunks.spec_of(job.options)
            number = 0
            if spec is not None and spec.has_chunks:
                number = len(chunks.items_in(job.arguments))
            if number > 1 and chance.random() < 0.5:
                first = chunks.first_of(job.id)
                at = first + chance.randrange(1, number)
                (part,) = split(job, at, end=first + number)
                settled = [returned(job, worker), outcomes.untouched(part)]
                refused += not storage.divide(worker, job, division(job, [part], settled))
            else:
                storage.settle(worker, [returned(job, worker)])
            if spec is None:
                others.append(job.id)
            else:
                storage.finish_map(spec.map_id, clock.now())
        if not jobs:
            if is_last:
                break
            storage.wait_for_work(0.1)
    say([refused, others])
    storage.retire(worker)
    storage.close()


def tick(names: list[str], is_unique: bool) -> None:
    """Take 20 ticks of each schedule, or see others take them; answer those that it took.

    The unique calls of one schedule are equal, and nobody claims them.
    """
    from django.tasks import task_backends

    from mainspring.core.schedule_states import Tick
    from mainspring.core.unique import unique_of
    from tests.contract.tasks import add, once

    backend = task_backends["default"]
    storage, task = backend.storage, once if is_unique else add

    def step(name: str, last: int) -> Tick:
        job = backend.new_job(task, (names.index(name),), {})
        return Tick(name, "f", last, last + 1000, [(job, unique_of(task, job))])

    taken: list[tuple[str, int]] = []
    say("ready")
    hear()
    while True:
        states = storage.read_schedules(names)
        ticks = [step(name, one.last_tick) for name, one in states.items()]
        ticks = [one for one in ticks if one.last < 20_000]
        if not ticks:
            break
        taken += [(name, states[name].last_tick) for name in storage.tick(ticks, 1)]
    say(taken)
    storage.close()


def fork() -> None:
    """Use a storage, fork, use it in both; answer what each could do."""
    from django.db import connections
    from django.tasks import task_backends

    from tests.contract.jobs import ALL, enqueued, registered, succeeded

    storage = task_backends["default"].storage
    mine, childs = registered(storage), registered(storage)
    while storage.claim(mine, ALL, 1):
        pass
    enqueued(storage, *range(3))
    say("ready")
    hear()
    before = len(storage.claim(mine, ALL, 1))
    connections.close_all()  # Django's own are for whoever forks to close
    child = os.fork()
    if child == 0:
        status = 1
        try:
            (taken,) = storage.claim(childs, ALL, 1)
            assert storage.settle(childs, [succeeded(taken, childs)]) == []
            enqueued(storage, 3)
            storage.close()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    is_woken = storage.wait_for_work(5)
    after = len(storage.claim(mine, ALL, 1))
    answer = {"child": status, "parent": [before, after, is_woken]}
    if connections["store"].vendor == "sqlite":
        with connections["store"].cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            (answer["journal"],) = cursor.fetchone()
    say(answer)
    storage.close()


ROLES: dict[str, Callable[..., None]] = {
    one.__name__: one
    for one in (
        produce_one_by_one,
        produce,
        produce_unique,
        work,
        work_within_limits,
        work_on_maps,
        tick,
        fork,
    )
}


def main() -> None:
    import django
    from django.conf import settings
    from django.db import connections

    from mainspring.bench import mysql_driver

    given = json.loads(os.environ["MAINSPRING_CONTENDER"])
    mysql_driver.install_for(given["DATABASES"])
    settings.configure(**given)
    django.setup()
    ROLES[sys.argv[1]](*json.loads(sys.argv[2]))
    connections.close_all()


if __name__ == "__main__":
    main()
