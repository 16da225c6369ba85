"""The database of a site: a file of SQLite, or one on a server."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.tasks import task_backends
from django.test import override_settings

from mainspring.backends.database.vendors.wakeup import PipeWakeup
from mainspring.core.jobs import Job
from tests.contract.stores import database
from tests.server_databases import Server

_COLUMNS = ", ".join(Job._fields)
_INSERT = f"INSERT INTO mainspring_job ({_COLUMNS}) VALUES ({', '.join('?' * len(Job._fields))})"
_TASKS = {
    "default": {"BACKEND": "mainspring.backends.database.DatabaseBackend", "QUEUES": []},
}

on_engines = pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"], indirect=True)
"""Runs a test with a site on each engine, instead of on SQLite alone."""

on_postgresql = pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
"""Runs a test that takes long on PostgreSQL as well."""


class SiteDatabase(ABC):
    """What tests do to the database of a site; in statements, ``?`` stands for a parameter."""

    path: Path
    """Of SQLite's file."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What differs from the entry of ``DATABASES`` for an SQLite file."""

    @abstractmethod
    def store(self, jobs: list[Job]) -> None:
        """Store jobs in one transaction, and wake the workers."""

    @abstractmethod
    def execute(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""

    @abstractmethod
    def query(self, sql: str, params: Sequence[Any]) -> list[Any]:
        """Run a query and return its rows."""

    def is_locked(self) -> bool:
        """Whether somebody keeps all others from writing, for longer than writing takes."""
        return False

    @abstractmethod
    def drop(self) -> None:
        """Remove the database, whoever uses it."""


class SqliteFile(SiteDatabase):
    """A file in the site's folder."""

    def __init__(self, path: Path, template: Path | None = None) -> None:
        self.path = path
        if template is not None:
            path.write_bytes(template.read_bytes())
        self._wakeup = PipeWakeup(Path(f"{path}-mainspring"))

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing: it is the default."""
        return {}

    def store(self, jobs: list[Job]) -> None:
        """Store jobs without Django."""
        self.execute(_INSERT, jobs)
        self._wakeup.notify()

    def execute(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, in one transaction."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.executemany(sql, rows)

    def query(self, sql: str, params: Sequence[Any]) -> list[Any]:
        """Run a query."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return connection.execute(sql, params).fetchall()

    def is_locked(self) -> bool:
        """Try to write, for half a second."""
        with closing(sqlite3.connect(self.path, timeout=0.5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.execute("ROLLBACK")
            return False

    def drop(self) -> None:
        """It goes with the folder."""


class ServerDatabase(SiteDatabase):
    """A database of its own on a server, like ``template``."""

    def __init__(self, server: Server, template: str) -> None:
        self._server = server
        self.name = server.new_database(template)

    @property
    def settings(self) -> dict[str, Any]:
        """The entry of ``DATABASES``."""
        return self._server.settings(self.name)

    def store(self, jobs: list[Job]) -> None:
        """Store jobs as the backend does, which knows how its workers are woken."""
        with database(self.settings), override_settings(TASKS=_TASKS):
            task_backends["default"].storage.enqueue(jobs)

    def execute(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        for row in rows:
            self.query(sql, row)

    def query(self, sql: str, params: Sequence[Any]) -> list[Any]:
        """Run a query."""
        return self._server.execute(sql.replace("?", "%s"), params, self.name)

    def drop(self) -> None:
        """Drop it."""
        self._server.drop(self.name)
