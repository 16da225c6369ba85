"""threadmill: the newest that runs on Python 3.13; it has no bulk call."""

# mypy: ignore-errors

from bench_client import serve
from bench_django import DjangoClient
from bench_redis import RedisClient


class Threadmill(DjangoClient, RedisClient):
    has_bulk = False
    results = "threadmill:{default}:result:*"

    def open(self):
        DjangoClient.open(self)
        RedisClient.open(self)


if __name__ == "__main__":
    serve(Threadmill())
