"""Mainspring's own DatabaseBackend, measured as its rivals are."""

import django

from mainspring.bench.rivals.adapters import bench_postgresql
from mainspring.bench.rivals.adapters.bench_client import Calls, Client, serve


class Ours(Client):
    """Enqueues the no-op of ``mainspring.bench.rivals.ours``."""

    def prepare(self) -> str:
        version = bench_postgresql.create()
        self.open()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        return version

    def open(self) -> None:
        django.setup()
        from mainspring.bench.rivals.ours import no_op

        self.task = no_op
        self.database = bench_postgresql.Database()

    def enqueue(self, number: int, stamp: int) -> None:
        self.task.enqueue(number, stamp)

    def enqueue_many(self, calls: Calls) -> None:
        self.task.enqueue_many(calls)

    def stored(self) -> int:
        return self.database.count("SELECT count(*) FROM mainspring_job WHERE state = 3")

    def empty(self) -> None:
        self.database.empty("mainspring_job")

    def drop(self) -> None:
        bench_postgresql.drop()


if __name__ == "__main__":
    serve(Ours())
