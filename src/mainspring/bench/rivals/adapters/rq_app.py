"""rq."""

# mypy: ignore-errors

from bench_client import serve
from bench_page import note
from bench_redis import URL, RedisClient


def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


class RqClient(RedisClient):
    results = "rq:results:*"

    def open(self):
        super().open()
        import redis
        import rq

        self.queue = rq.Queue(connection=redis.Redis.from_url(URL))
        self.prepare_data = rq.Queue.prepare_data

    def enqueue(self, number, stamp):
        self.queue.enqueue("rq_app.no_op", number, stamp)

    def enqueue_many(self, calls):
        self.queue.enqueue_many([self.prepare_data("rq_app.no_op", call) for call in calls])


if __name__ == "__main__":
    serve(RqClient())
