"""django-vtasks on its database backend: keeps no results, a task that is done is deleted."""

# mypy: ignore-errors

from bench_client import serve
from bench_django import DatabaseClient


class Vtasks(DatabaseClient):
    tables = "db_queuedtask"
    chunk = 5000

    def open(self):
        super().open()
        from django.tasks import task_backends

        self.backend = task_backends["default"]
        self.enqueued = 0

    def enqueue(self, number, stamp):
        super().enqueue(number, stamp)
        self.enqueued += 1

    def enqueue_many(self, calls):
        self.backend.enqueue_many([(self.task, call, {}) for call in calls])
        self.enqueued += len(calls)

    def stored(self):
        return self.enqueued - self.database.count("SELECT count(*) FROM db_queuedtask")

    def empty(self):
        super().empty()
        self.enqueued = 0


if __name__ == "__main__":
    serve(Vtasks())
