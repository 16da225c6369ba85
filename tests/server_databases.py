"""Databases of our own on a server: how they are made, emptied and dropped."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from secrets import token_hex
from typing import Any, Final

import psycopg

from mainspring.bench import mysql_driver

_CONNECT_TIMEOUT: Final = 5  # seconds
_OURS: Final = "mainspring_"


class Server(ABC):
    """A server, and the databases that this session has made on it."""

    def __init__(self) -> None:
        self._databases: list[str] = []

    @abstractmethod
    def settings(self, name: str) -> dict[str, Any]:
        """Return the entry of ``DATABASES`` for a database."""

    @abstractmethod
    def execute(self, sql: str, params: Sequence[Any] = (), database: str = "") -> list[Any]:
        """Run a statement by itself and return its rows; ``%s`` stands for a parameter."""

    @abstractmethod
    def empty(self, name: str) -> None:
        """Empty our tables in a database."""

    @abstractmethod
    def _copy(self, source: str, name: str) -> None: ...

    @abstractmethod
    def _drop(self, name: str) -> None: ...

    def new_database(self, template: str = "") -> str:
        """Make a database, empty or like ``template``, to which nobody is connected."""
        name = f"{_OURS}test_{os.getpid()}_{token_hex(4)}"
        self._databases.append(name)
        if template:
            self._copy(template, name)
        else:
            self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._databases.remove(name)
        self._drop(name)

    def close(self) -> None:
        """Drop what is left of the databases."""
        for name in list(self._databases):
            self.drop(name)


class PostgresServer(Server):
    """A PostgreSQL server; ``connection`` are parameters of libpq."""

    def __init__(self, connection: Mapping[str, Any], options: str = "") -> None:
        super().__init__()
        self._connection = dict(connection)
        self._options = options
        self._held: dict[str, psycopg.Connection[Any]] = {}

    @property
    def host(self) -> str:
        """The name of its host, or the folder of its socket."""
        return str(self._connection["host"])

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._connection["port"])

    def settings(self, name: str) -> dict[str, Any]:
        """Return the entry of ``DATABASES`` for a database."""
        rest = {**self._connection}
        names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
        entry = {key: str(rest.pop(own, "")) for key, own in names.items()}
        rest.pop("dbname", None)
        if self._options:
            rest["options"] = self._options
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            **entry,
            "OPTIONS": rest,
        }

    def execute(self, sql: str, params: Sequence[Any] = (), database: str = "") -> list[Any]:
        """Run a statement on a connection that is kept, as long as its server runs."""
        held = self._held.get(database)
        if held is not None:
            try:
                return self._rows(held, sql, params)
            except psycopg.OperationalError:
                if not held.broken:
                    raise
                self._disconnect(database)
        self._held[database] = held = self._connect(database)
        return self._rows(held, sql, params)

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            **{
                **self._connection,
                "dbname": database or self._connection.get("dbname", "postgres"),
            },
            connect_timeout=_CONNECT_TIMEOUT,
            # What a test has left behind fails here instead of hanging.
            options="-c lock_timeout=20s -c synchronous_commit=off",
            autocommit=True,
        )

    @staticmethod
    def _rows(held: psycopg.Connection[Any], sql: str, params: Sequence[Any]) -> list[Any]:
        cursor = held.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []

    def empty(self, name: str) -> None:
        """Empty our tables in a database; ``DELETE``, as each ``TRUNCATE`` makes new files."""
        for table in self._tables(name):
            self.execute(f"DELETE FROM {table}", (), name)

    def _tables(self, name: str) -> list[str]:
        rows = self.execute(
            "SELECT relname FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND NOT relispartition AND relname LIKE %s"
            " AND relnamespace = 'public'::regnamespace",
            [f"{_OURS}%"],
            name,
        )
        return [row[0] for row in rows]

    def _copy(self, source: str, name: str) -> None:
        self._disconnect(source)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {source}")

    def _drop(self, name: str) -> None:
        self._disconnect(name)
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _disconnect(self, database: str) -> None:
        held = self._held.pop(database, None)
        if held is not None:
            held.close()

    def close(self) -> None:
        """Drop what is left of the databases."""
        super().close()
        for database in list(self._held):
            self._disconnect(database)


class MariaDBServer(Server):
    """A MariaDB or MySQL server; ``connection`` are parameters of MySQLdb."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        super().__init__()
        self._connection = dict(connection)

    def settings(self, name: str) -> dict[str, Any]:
        """Return the entry of ``DATABASES`` for a database."""
        return {
            "ENGINE": mysql_driver.ENGINE,
            "NAME": name,
            "HOST": self._connection.get("unix_socket") or self._connection["host"],
            "PORT": str(self._connection.get("port", "")),
            "USER": self._connection["user"],
            "PASSWORD": self._connection.get("password", ""),
            "OPTIONS": mysql_driver.options(),
        }

    @cached_property
    def _held(self) -> Any:
        mysql_driver.install()
        import MySQLdb

        return MySQLdb.connect(
            **self._connection,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            init_command="SET SESSION lock_wait_timeout = 20, innodb_lock_wait_timeout = 20",
        )

    def execute(self, sql: str, params: Sequence[Any] = (), database: str = "") -> list[Any]:
        """Run a statement on a connection that is kept."""
        with self._held.cursor() as cursor:
            if database:
                cursor.execute(f"USE {database}")
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())

    def empty(self, name: str) -> None:
        """Empty our tables in a database; ``DELETE``, as each ``TRUNCATE`` makes new files."""
        for table in self._tables(name):
            if table.startswith(_OURS):
                self.execute(f"DELETE FROM {name}.{table}")

    def _tables(self, name: str) -> list[str]:
        return [row[0] for row in self.execute(f"SHOW TABLES FROM {name}")]

    def _copy(self, source: str, name: str) -> None:
        self.execute(f"CREATE DATABASE {name}")
        for table in self._tables(source):
            self.execute(f"CREATE TABLE {name}.{table} LIKE {source}.{table}")
            self.execute(f"INSERT INTO {name}.{table} SELECT * FROM {source}.{table}")

    def _drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def close(self) -> None:
        """Drop what is left of the databases."""
        super().close()
        if "_held" in vars(self):
            self._held.close()
            del self._held
