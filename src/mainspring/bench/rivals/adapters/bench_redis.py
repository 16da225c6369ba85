"""The Redis database of the run, spoken to without a library: not every rival brings one."""

# mypy: disable-error-code="import-not-found,misc"

import os
import socket
from typing import Final
from urllib.parse import unquote, urlsplit

from bench_client import AsyncClient, Client

URL: Final = os.environ["MAINSPRING_BENCH_URL"]
_COUNT: Final = "return #redis.call('keys', ARGV[1])"


class Database:
    """A connection to the database."""

    def __init__(self) -> None:
        url = urlsplit(URL)
        self.number = int(url.path.lstrip("/") or 0)
        self._socket = socket.create_connection((url.hostname or "127.0.0.1", url.port or 6379))
        self._answers = self._socket.makefile("rb")
        if url.password:
            self.ask("AUTH", unquote(url.username or "default"), unquote(url.password))
        self.ask("SELECT", self.number)

    def claim(self) -> str:
        """Refuse a database that is not empty; return the server's name and version."""
        if keys := int(self.ask("DBSIZE")):
            raise ValueError(
                f"Redis database {self.number} holds {keys} keys: give an empty one with "
                "--redis-url redis://HOST:PORT/NUMBER, as the benchmark deletes what it holds"
            )
        lines = str(self.ask("INFO", "server")).split("\r\n")
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        if version := facts.get("valkey_version"):
            return f"Valkey {version}"
        return f"Redis {facts['redis_version']}"

    def empty(self) -> None:
        """Delete all keys."""
        self.ask("FLUSHDB")

    def count_keys(self, pattern: str) -> int:
        """Return how many keys there are like ``pattern``."""
        return int(self.ask("EVAL", _COUNT, 0, pattern))

    def ask(self, *words: object) -> str | int:
        """Return the answer to a command that answers with text or a number."""
        parts = [str(word).encode() for word in words]
        lines = [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts]
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), b"".join(lines)))
        kind, rest = (line := self._answers.readline().rstrip().decode())[:1], line[1:]
        if kind == ":":
            return int(rest)
        if kind == "$":
            return self._answers.read(int(rest) + 2)[:-2].decode()
        if kind != "+":
            raise ValueError(f"Redis: {rest}")
        return rest


class RedisClient(Client):
    """A client whose rival keeps its tasks on Redis."""

    results = ""
    """The pattern of the keys that hold results."""

    def prepare(self) -> str:
        version = Database().claim()
        self.open()
        return version

    def open(self) -> None:
        self.database = Database()

    def stored(self) -> int | None:
        return self.database.count_keys(self.results)

    def empty(self) -> None:
        self.database.empty()

    def drop(self) -> None:
        Database().empty()


class AsyncRedisClient(AsyncClient):
    """The same, of coroutines."""

    results = ""

    async def prepare(self) -> str:
        version = Database().claim()
        await self.open()
        return version

    async def open(self) -> None:
        self.database = Database()

    async def stored(self) -> int | None:
        return self.database.count_keys(self.results)

    async def empty(self) -> None:
        self.database.empty()

    async def drop(self) -> None:
        Database().empty()
