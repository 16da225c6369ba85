"""streaq."""

# mypy: ignore-errors

import os

from bench_client import serve_async
from bench_page import note
from bench_redis import URL, AsyncRedisClient
from streaq import Worker

worker = Worker(
    redis_url=URL, concurrency=int(os.environ.get("MAINSPRING_BENCH_CONCURRENCY", "16"))
)


@worker.task(name="no_op")
async def no_op(number: int, stamp: int) -> None:
    """Count the call."""
    note(number, stamp)


class Streaq(AsyncRedisClient):
    results = "streaq:default:task:results:*"

    async def open(self):
        await super().open()
        await worker.__aenter__()

    async def enqueue(self, number, stamp):
        await no_op.enqueue(number, stamp)

    async def enqueue_many(self, calls):
        await worker.enqueue_many([no_op.enqueue(*call) for call in calls])


if __name__ == "__main__":
    serve_async(Streaq())
