"""procrastinate: jobs claimed one by one, kept as succeeded."""

# mypy: ignore-errors

import bench_postgresql
import procrastinate
from bench_client import Client, serve
from bench_page import note

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=bench_postgresql.URL))


@app.task(name="no_op")
async def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


class Procrastinate(Client):
    chunk = 5000

    def prepare(self):
        version = bench_postgresql.create()
        self.open()
        self.app.schema_manager.apply_schema()
        return version

    def open(self):
        # Replaced, not copied: the task goes on belonging to the app that declared it.
        connector = procrastinate.SyncPsycopgConnector(conninfo=bench_postgresql.URL)
        self.app = app.replace_connector(connector).__enter__()
        self.app.open()
        self.task = self.app.tasks["no_op"]
        self.database = bench_postgresql.Database()

    def enqueue(self, number, stamp):
        self.task.defer(number=number, stamp=stamp)

    def enqueue_many(self, calls):
        self.task.batch_defer(*[{"number": number, "stamp": stamp} for number, stamp in calls])

    def stored(self):
        return self.database.count(
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        )

    def empty(self):
        self.database.empty("procrastinate_jobs", "procrastinate_events")

    def drop(self):
        bench_postgresql.drop()


if __name__ == "__main__":
    serve(Procrastinate())
