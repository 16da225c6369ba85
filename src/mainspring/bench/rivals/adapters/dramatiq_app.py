"""dramatiq; it has no bulk call, and results once its middleware for them is added."""

# mypy: ignore-errors

import dramatiq
from bench_client import serve
from bench_page import note
from bench_redis import URL, RedisClient
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL, use_namespace_prefix_keys=True)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


class DramatiqClient(RedisClient):
    has_bulk = False
    results = "dramatiq-results:*"

    def enqueue(self, number, stamp):
        no_op.send(number, stamp)


if __name__ == "__main__":
    serve(DramatiqClient())
