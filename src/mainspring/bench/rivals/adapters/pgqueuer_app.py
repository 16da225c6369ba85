"""pgqueuer, on asyncpg and uvloop: keeps no results, a row in the log for each job that is done."""

# mypy: ignore-errors

import subprocess
import sys

import asyncpg
import bench_postgresql
import uvloop
from bench_client import AsyncClient, serve_async
from bench_page import note
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver


class Pgqueuer(AsyncClient):
    async def prepare(self):
        version = bench_postgresql.create()
        install = [sys.executable, "-m", "pgqueuer", "--pg-dsn", bench_postgresql.URL, "install"]
        subprocess.run(install, check=True, stdout=sys.stderr)  # noqa: S603, ASYNC221
        await self.open()
        return version

    async def open(self):
        self.queries = Queries(AsyncpgDriver(await asyncpg.connect(bench_postgresql.URL)))
        self.database = bench_postgresql.Database()

    async def enqueue(self, number, stamp):
        await self.queries.enqueue("no_op", b"%d,%d" % (number, stamp), 0)

    async def enqueue_many(self, calls):
        payloads = [b"%d,%d" % call for call in calls]
        await self.queries.enqueue(["no_op"] * len(calls), payloads, [0] * len(calls))

    async def stored(self):
        return self.database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'")

    async def empty(self):
        self.database.empty("pgqueuer", "pgqueuer_log")

    async def drop(self):
        bench_postgresql.drop()


async def work(batch_size: int):
    """Run a worker until it is told to stop."""
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(bench_postgresql.URL)))

    @queuer.entrypoint("no_op")
    async def no_op(job):
        number, stamp = job.payload.split(b",")
        note(int(number), int(stamp))

    await queuer.run(batch_size=batch_size)


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(work(int(sys.argv[1])))
    else:
        serve_async(Pgqueuer(), uvloop.run)
