"""oban, the Python package, on uvloop; jobs are kept as completed."""

# mypy: ignore-errors

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import bench_postgresql
import uvloop
from bench_client import AsyncClient, serve_async
from bench_page import note
from oban import Oban, worker


@worker(queue="default")
class NoOp:
    """The no-op task."""

    async def process(self, job):
        note(job.args["number"], job.args["stamp"])


class ObanClient(AsyncClient):
    async def prepare(self):
        version = bench_postgresql.create()
        command = Path(sys.executable).with_name("oban")
        install = [command, "install", "--dsn", bench_postgresql.URL]
        subprocess.run(install, check=True, stdout=sys.stderr)  # noqa: S603, ASYNC221
        await self.open()
        return version

    async def open(self):
        import oban_app

        self.no_op = oban_app.NoOp
        pool = await Oban.create_pool(dsn=bench_postgresql.URL, max_size=2)
        self.oban = Oban(pool=pool, queues={})
        await self.oban.start()
        self.database = bench_postgresql.Database()

    async def enqueue(self, number, stamp):
        await self.oban.enqueue(self.no_op.new({"number": number, "stamp": stamp}))

    async def enqueue_many(self, calls):
        await self.oban.enqueue_many(
            [self.no_op.new({"number": number, "stamp": stamp}) for number, stamp in calls]
        )

    async def stored(self):
        return self.database.count("SELECT count(*) FROM oban_jobs WHERE state = 'completed'")

    async def empty(self):
        self.database.empty("oban_jobs")

    async def drop(self):
        bench_postgresql.drop()


async def work(limit: int):
    """Run a worker until SIGTERM."""
    import oban_app  # noqa: F401 # registers the task under its name

    pool = await Oban.create_pool(dsn=bench_postgresql.URL, max_size=10)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Oban(pool=pool, queues={"default": limit}, node=f"worker-{os.getpid()}"):
        await stop.wait()


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(work(int(sys.argv[1])))
    else:
        serve_async(ObanClient(), uvloop.run)
