"""The rival's own database on the PostgreSQL server of the run."""

# mypy: disable-error-code="import-not-found"

import os
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

SERVER = os.environ["MAINSPRING_BENCH_SERVER"]
"""The URL of a database that is there already."""
URL = os.environ["MAINSPRING_BENCH_URL"]
"""The URL of the rival's own."""
NAME = unquote(urlsplit(URL).path.lstrip("/"))


def create() -> str:
    """Make the rival's database afresh; return the server's name and version."""
    with psycopg.connect(SERVER, autocommit=True) as connection:
        _drop(connection)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        row = connection.execute("SHOW server_version").fetchone()
        assert row  # noqa: S101
        return f"PostgreSQL {row[0].split()[0]}"


def drop() -> None:
    """Delete the rival's database."""
    with psycopg.connect(SERVER, autocommit=True) as connection:
        _drop(connection)


class Database:
    """A connection to the rival's database, for counting and emptying."""

    def __init__(self) -> None:
        self._connection = psycopg.connect(URL, autocommit=True)

    def count(self, query: str) -> int:
        """Return the one number that ``query`` selects."""
        row = self._connection.execute(query).fetchone()  # type: ignore[arg-type,unused-ignore]
        assert row  # noqa: S101
        return int(row[0])

    def empty(self, *tables: str) -> None:
        """Empty ``tables``, and have what was written so far cost nobody after it."""
        names = sql.SQL(", ").join(map(sql.Identifier, tables))
        self._connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        with suppress(psycopg.errors.InsufficientPrivilege):
            self._connection.execute("CHECKPOINT")

    def tables(self, beginning: str) -> list[str]:
        """Return the names of the tables that begin with ``beginning``."""
        rows = self._connection.execute(
            "SELECT tablename FROM pg_tables WHERE starts_with(tablename, %s)", [beginning]
        )
        return [name for (name,) in rows]


def _drop(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    name = sql.Identifier(NAME)
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
