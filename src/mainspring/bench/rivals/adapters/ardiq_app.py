"""ardiq, whose core is in Rust."""

# mypy: ignore-errors

import os

from ardiq import Ardiq
from bench_client import serve_async
from bench_page import note
from bench_redis import URL, AsyncRedisClient

_concurrency = os.environ.get("MAINSPRING_BENCH_CONCURRENCY")
app = Ardiq(
    redis_url=URL,
    queue_name="bench",
    **({"concurrency": int(_concurrency)} if _concurrency else {}),
)


@app.task(name="no_op")
async def no_op(number: int, stamp: int) -> None:
    """Count the call."""
    note(number, stamp)


class ArdiqClient(AsyncRedisClient):
    results = "ardiq:bench:task:results:*"

    async def enqueue(self, number, stamp):
        await no_op.enqueue(number, stamp)

    async def enqueue_many(self, calls):
        await app.enqueue_many([no_op.prepare(*call) for call in calls])


if __name__ == "__main__":
    serve_async(ArdiqClient())
