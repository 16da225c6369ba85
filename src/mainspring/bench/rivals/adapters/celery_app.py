"""celery; it has no bulk call."""

# mypy: ignore-errors

from bench_client import serve
from bench_page import note
from bench_redis import URL, RedisClient
from celery import Celery

app = Celery("bench", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    worker_prefetch_multiplier=64,
)


@app.task(name="no_op")
def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


class CeleryClient(RedisClient):
    has_bulk = False
    results = "celery-task-meta-*"

    def enqueue(self, number, stamp):
        no_op.delay(number, stamp)


if __name__ == "__main__":
    serve(CeleryClient())
