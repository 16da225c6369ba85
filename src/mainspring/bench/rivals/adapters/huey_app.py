"""huey; it has no bulk call."""

# mypy: ignore-errors

from bench_client import serve
from bench_page import note
from bench_redis import URL, RedisClient
from huey import RedisHuey

huey = RedisHuey("bench", url=URL, store_none=True)


@huey.task()
def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


class HueyClient(RedisClient):
    has_bulk = False

    def enqueue(self, number, stamp):
        no_op(number, stamp)

    def stored(self):
        return self.database.ask("HLEN", huey.storage.result_key)


if __name__ == "__main__":
    # As the consumer imports it, so that the task has the same name in both.
    import huey_app

    no_op = huey_app.no_op
    serve(HueyClient())
