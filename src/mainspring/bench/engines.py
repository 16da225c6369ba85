"""The database engines that the benchmarks run on, each with its raw limits."""

import argparse
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from mainspring.bench import bare_mariadb, bare_postgresql, bare_sqlite, mysql_driver
from mainspring.bench.report import Figure
from mainspring.bench.slow_network import SlowNetwork

type Row = tuple[object, ...]

NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}

_numbers: Final = count()


class IdleLimits(NamedTuple):
    """What idle to started may take, in milliseconds, and an idle worker, in % of a core."""

    p50: float
    p99: float | None
    cpu: float | None


class Engine(ABC):
    """One database for the benchmarks to fill and empty, beside which the bare engine is put."""

    idle_limits: ClassVar[IdleLimits]
    least_share: ClassVar[float | None] = 0.8
    """Of the rate of bare inserts, for enqueueing one by one."""

    folder: Path | str
    """For files of the benchmark's own."""
    database: dict[str, Any]
    """The entry of ``DATABASES``."""

    @abstractmethod
    def empty(self) -> None:
        """Delete all jobs, as if there had been none."""

    @abstractmethod
    def unfinished(self) -> str:
        """Return a query that has a row while any job is ready or running, and costs little."""

    @abstractmethod
    def inserts_per_second(self, rows: Sequence[Row]) -> float:
        """Insert rows into the table of jobs, each in a transaction of its own."""

    @abstractmethod
    def bulk_per_second(self, rows: Sequence[Row]) -> float:
        """Insert rows into the table of jobs, in the fastest way there is."""

    @abstractmethod
    def drained_per_second(self, jobs: int, processes: int) -> float:
        """Settle and claim in a bare loop, until nothing is ready, with results."""

    def judge_enqueue(self, share: float, bulk: float, raw: float) -> list[Figure]:
        """Return the figures of enqueueing beside their limits."""
        return [
            Figure("… as a share of INSERT + commit", share, "", self.least_share, "≥"),
            Figure("enqueue_many, 10,000 a time", bulk, "/s", None, "", raw, "bare insert"),
        ]

    def idle_ms(self) -> float | None:
        """Return how long the bare engine takes from an insert to a claim after a notification."""
        return None

    @abstractmethod
    def judge_drain(self, drained: float, bare: float) -> Iterator[Figure]:
        """Return the figures of draining beside their limits."""


class SQLite(Engine):
    """A file in a folder."""

    idle_limits = IdleLimits(15, None, 0.5)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "bench.sqlite3"
        self.database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self._path),
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }

    def empty(self) -> None:
        """Delete the rows, and the log of the writes."""
        query("DELETE FROM mainspring_job")
        query("PRAGMA wal_checkpoint(TRUNCATE)")

    def unfinished(self) -> str:
        """Look into the two partial indexes."""
        return (
            "SELECT 1 FROM mainspring_job WHERE state = 1 UNION ALL "
            "SELECT 1 FROM mainspring_job WHERE state = 2 LIMIT 1"
        )

    def inserts_per_second(self, rows: Sequence[Row]) -> float:
        """See :class:`Engine`."""
        return bare_sqlite.inserts_per_second(self._path, rows)

    def bulk_per_second(self, rows: Sequence[Row]) -> float:
        """See :class:`Engine`."""
        return bare_sqlite.bulk_per_second(self._path, rows)

    def drained_per_second(self, jobs: int, processes: int) -> float:
        """See :class:`Engine`."""
        return bare_sqlite.drained_per_second(self._path, jobs, processes)

    def judge_drain(self, drained: float, bare: float) -> Iterator[Figure]:
        """See :class:`Engine`."""
        yield Figure("drain, 2 processes", drained, "/s", 60_000, "≥", bare, "bare loop")


class PostgreSQL(Engine):
    """A database of its own on a server."""

    idle_limits = IdleLimits(2, 10, 0.5)

    def __init__(self, url: str, folder: str) -> None:
        self.folder = folder
        self._server = urlsplit(url)
        self._database = f"mainspring_bench_{os.getpid()}_{next(_numbers)}"
        self.database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self._database,
            "HOST": self._server.hostname or "",
            "PORT": str(self._server.port or ""),
            "USER": unquote(self._server.username or ""),
            "PASSWORD": unquote(self._server.password or ""),
        }
        self.address = (self._server.hostname or "", self._server.port or 5432)
        self.dsn = self._server._replace(path=f"/{self._database}").geturl()

    @contextmanager
    def made(self) -> Iterator["PostgreSQL"]:
        """Create the database, and drop it in the end."""
        bare_postgresql.execute(self._server.geturl(), f'CREATE DATABASE "{self._database}"')
        try:
            yield self
        finally:
            drop = f'DROP DATABASE "{self._database}" WITH (FORCE)'
            bare_postgresql.execute(self._server.geturl(), drop)

    def empty(self) -> None:
        """Truncate, and have the log of writes behind it."""
        query("TRUNCATE mainspring_job")
        query("CHECKPOINT")

    def unfinished(self) -> str:
        """Look from the end of the index that is drained last."""
        return (
            "SELECT 1 FROM (SELECT FROM mainspring_job_live WHERE state = 1 "
            "AND backend = 'default' ORDER BY priority, available_at LIMIT 1) AS ready UNION ALL "
            "(SELECT 1 FROM mainspring_job_live WHERE state = 2 AND claim IS NOT NULL LIMIT 1)"
        )

    def inserts_per_second(self, rows: Sequence[Row]) -> float:
        """See :class:`Engine`."""
        return bare_postgresql.inserts_per_second(self.dsn, rows)

    def bulk_per_second(self, rows: Sequence[Row]) -> float:
        """See :class:`Engine`."""
        return bare_postgresql.copied_per_second(self.dsn, rows)

    def drained_per_second(self, jobs: int, processes: int) -> float:  # noqa: ARG002
        """See :class:`Engine`."""
        return bare_postgresql.drained_per_second(self.dsn, processes)

    def idle_ms(self) -> float | None:
        """See :class:`Engine`."""
        return bare_postgresql.idle_ms(self.dsn)

    def judge_enqueue(self, share: float, bulk: float, raw: float) -> list[Figure]:
        """See :class:`Engine`."""
        return [
            *super().judge_enqueue(share, bulk, raw),
            Figure("… as a share of COPY", bulk / raw, "", 0.5, "≥"),
        ]

    def judge_drain(self, drained: float, bare: float) -> Iterator[Figure]:
        """Beside the least that any queue has to do: claim and complete, without results."""
        least = bare_postgresql.completed_per_second(self.dsn, 100_000, 2)
        yield Figure("drain, 2 processes", drained, "/s", None, "", bare, "bare loop")
        yield Figure("… as a share of claim + complete", drained / least, "", 0.5, "≥")
        yield Figure("claim + complete alone, small rows, no results", least, "/s")


class MariaDB(Engine):
    """A database of its own on a MariaDB or MySQL server."""

    # There are no notifications: an idle worker looks every 0.2 s.
    least_share = None
    idle_limits = IdleLimits(250, None, None)

    def __init__(self, url: str, folder: str) -> None:
        self.folder = folder
        server = urlsplit(url)
        self._database = f"mainspring_bench_{os.getpid()}_{next(_numbers)}"
        self._server = {
            "host": server.hostname or "127.0.0.1",
            "port": server.port or 3306,
            "user": unquote(server.username or "root"),
            "password": unquote(server.password or ""),
            **mysql_driver.options(),
        }
        self._own = {**self._server, "database": self._database}
        self.database = {
            "ENGINE": mysql_driver.ENGINE,
            "NAME": self._database,
            "HOST": self._server["host"],
            "PORT": str(self._server["port"]),
            "USER": self._server["user"],
            "PASSWORD": self._server["password"],
            "OPTIONS": mysql_driver.options(),
        }

    @contextmanager
    def made(self) -> Iterator["MariaDB"]:
        """Create the database, and drop it in the end."""
        bare_mariadb.execute(self._server, f"CREATE DATABASE {self._database}")
        try:
            yield self
        finally:
            bare_mariadb.execute(self._server, f"DROP DATABASE {self._database}")

    def empty(self) -> None:
        """Truncate."""
        query("TRUNCATE TABLE mainspring_job")

    def unfinished(self) -> str:
        """Look into the index of states."""
        return (
            "(SELECT 1 FROM mainspring_job WHERE state = 1 AND backend = 'default' "
            "ORDER BY priority, available_at LIMIT 1) UNION ALL "
            "(SELECT 1 FROM mainspring_job WHERE state = 2 LIMIT 1)"
        )

    def inserts_per_second(self, rows: Sequence[Row]) -> float:
        """See :class:`Engine`."""
        return bare_mariadb.inserts_per_second(self._own, rows)

    def bulk_per_second(self, rows: Sequence[Row]) -> float:
        """See :class:`Engine`."""
        return bare_mariadb.bulk_per_second(self._own, rows)

    def drained_per_second(self, jobs: int, processes: int) -> float:  # noqa: ARG002
        """See :class:`Engine`."""
        return bare_mariadb.drained_per_second(self._own, processes)

    def judge_drain(self, drained: float, bare: float) -> Iterator[Figure]:
        """See :class:`Engine`."""
        yield Figure("drain, 2 processes", drained, "/s", None, "", bare, "bare loop")


@contextmanager
def opened(name: str, options: argparse.Namespace, folder: str) -> Iterator[Engine]:
    """Make the engine of one of ``NAMES``; ``options`` name the servers."""
    if name == "sqlite":
        yield SQLite(Path(folder))
    elif name == "postgresql":
        with PostgreSQL(options.url, folder).made() as postgresql:
            yield postgresql
    else:
        with MariaDB(options.mariadb_url, folder).made() as mariadb:
            yield mariadb


@contextmanager
def through(network: SlowNetwork, engine: Engine) -> Iterator[None]:
    """Have the workers that start in the block use this network."""
    direct = os.environ["MAINSPRING_BENCH_DATABASE"]
    slow = {**engine.database, "HOST": network.host, "PORT": str(network.port)}
    os.environ["MAINSPRING_BENCH_DATABASE"] = json.dumps(slow)
    try:
        yield
    finally:
        os.environ["MAINSPRING_BENCH_DATABASE"] = direct


def query(sql: str, *params: int | str) -> list[tuple[Any, ...]]:
    """Run a statement on the benchmark's database, and return its rows."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []
