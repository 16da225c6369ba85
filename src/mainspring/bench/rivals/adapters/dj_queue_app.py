"""dj-queue: jobs, and a table for each state that they can be in."""

# mypy: ignore-errors

from bench_client import serve
from bench_django import DatabaseClient


class DjQueue(DatabaseClient):
    tables = "dj_queue_"
    count = "SELECT count(*) FROM dj_queue_jobs WHERE finished_at IS NOT NULL"
    chunk = 5000

    def enqueue_many(self, calls):
        self.backend.enqueue_all([(self.task, list(call), {}) for call in calls])


if __name__ == "__main__":
    serve(DjQueue())
