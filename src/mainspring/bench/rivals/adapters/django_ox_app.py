"""django-ox."""

# mypy: ignore-errors

from bench_client import serve
from bench_django import DatabaseClient


class Ox(DatabaseClient):
    tables = "django_ox_oxtask"
    count = "SELECT count(*) FROM django_ox_oxtask WHERE status = 'SUCCESSFUL'"
    chunk = 100_000  # It divides them itself, within one transaction.

    def enqueue_many(self, calls):
        from django_ox.bulk import enqueue_many

        enqueue_many(self.task, [(call, {}) for call in calls])


if __name__ == "__main__":
    serve(Ox())
