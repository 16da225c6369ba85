"""django-tasks-db: a row per task, found and stored one by one; no bulk call."""

# mypy: ignore-errors

from bench_client import serve
from bench_django import DatabaseClient


class TasksDb(DatabaseClient):
    has_bulk = False
    tables = "django_tasks_database_"
    count = "SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status = 'SUCCESSFUL'"


if __name__ == "__main__":
    serve(TasksDb())
