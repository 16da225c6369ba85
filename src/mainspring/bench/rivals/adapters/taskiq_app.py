"""taskiq on a Redis list; it has no bulk call."""

# mypy: ignore-errors

import uvloop
from bench_client import serve_async
from bench_page import note
from bench_redis import URL, AsyncRedisClient
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker = ListQueueBroker(URL).with_result_backend(
    RedisAsyncResultBackend(URL, result_ex_time=3600, prefix_str="results")
)


@broker.task("no_op")
async def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


class Taskiq(AsyncRedisClient):
    has_bulk = False
    results = "results:*"

    async def open(self):
        await super().open()
        await broker.startup()

    async def enqueue(self, number, stamp):
        await no_op.kiq(number, stamp)


if __name__ == "__main__":
    serve_async(Taskiq(), uvloop.run)
