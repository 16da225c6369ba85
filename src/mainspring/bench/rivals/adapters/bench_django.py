"""What the rivals that are Django apps have in common."""

# mypy: ignore-errors

import django
from bench_client import Client


class DjangoClient(Client):
    """Enqueues the no-op of ``bench_tasks``; its tables are made by ``migrate``."""

    def open(self):
        django.setup()
        import bench_tasks

        self.task = bench_tasks.no_op
        self.backend = self.task.get_backend()

    def enqueue(self, number, stamp):
        self.task.enqueue(number, stamp)


class DatabaseClient(DjangoClient):
    """The same on PostgreSQL."""

    tables = ""
    """What the names of the tables that hold jobs and results begin with."""
    count = ""
    """The query that counts what is stored."""

    def prepare(self):
        import bench_postgresql
        from django.core.management import call_command

        version = bench_postgresql.create()
        self.open()
        call_command("migrate", verbosity=0)
        return version

    def open(self):
        import bench_postgresql

        super().open()
        self.database = bench_postgresql.Database()

    def stored(self):
        return self.database.count(self.count)

    def empty(self):
        self.database.empty(*self.database.tables(self.tables))

    def drop(self):
        import bench_postgresql

        bench_postgresql.drop()
