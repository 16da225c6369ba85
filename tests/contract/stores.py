"""The stores that the contract is held against. A database more is one more :class:`Kind`."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks import task_backends
from django.test import override_settings

from mainspring.backends import memory
from mainspring.backends.base import MainspringBackend
from mainspring.backends.storage import Storage
from mainspring.bench import mysql_driver
from tests.contract.router import STORE, StoreRouter
from tests.server_databases import Server
from tests.servers import Servers

_QUICK = "PRAGMA synchronous = OFF"  # no test cuts the power


@dataclass(frozen=True)
class Kind:
    """One backend, and where it keeps its jobs."""

    name: str
    backend: str
    order: str
    database: Callable[["Stores", Path], dict[str, Any]] | None = None
    """Makes a new database with the tables in it and returns its settings."""
    server: str = ""
    """Of which server in :class:`~tests.servers.Servers`; empty where it needs none."""
    has_threads: bool = True
    """Do all threads of a process see the same jobs?"""
    has_processes: bool = False
    """Do other processes?"""
    histories: int = 100
    """How many the model is compared in; each takes a while where a statement is a round trip."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further ``OPTIONS``."""

    def __str__(self) -> str:
        return self.name


def _sqlite_file(stores: "Stores", folder: Path) -> dict[str, Any]:
    path = folder / "db.sqlite3"
    shutil.copy(stores.template, path)
    return sqlite_settings(path)


def _sqlite_memory(stores: "Stores", folder: Path) -> dict[str, Any]:
    return sqlite_settings(":memory:")


def sqlite_settings(name: str | Path, **options: Any) -> dict[str, Any]:
    """Return an entry of ``DATABASES``."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {"init_command": _QUICK, **options},
    }


def _on(server: str) -> dict[str, Any]:
    def emptied(stores: "Stores", folder: Path) -> dict[str, Any]:
        return stores.emptied(server)

    return {"database": emptied, "server": server, "has_processes": True, "histories": 10}


_MEMORY = "mainspring.backends.memory.MemoryBackend"
_DATABASE = "mainspring.backends.database.DatabaseBackend"

SQLITE = Kind("sqlite-lifo", _DATABASE, "lifo", _sqlite_file, has_processes=True)
KINDS = (
    Kind("memory-lifo", _MEMORY, "lifo"),
    Kind("memory-fifo", _MEMORY, "fifo"),
    Kind("memory-processes", _MEMORY, "lifo", histories=10, options={"PROCESSES": 2}),
    SQLITE,
    Kind("sqlite-fifo", _DATABASE, "fifo", _sqlite_file, has_processes=True),
    Kind("sqlite-in-memory", _DATABASE, "lifo", _sqlite_memory, has_threads=False),
    Kind("postgresql-lifo", _DATABASE, "lifo", **_on("postgresql")),
    Kind("postgresql-fifo", _DATABASE, "fifo", **_on("postgresql")),
    Kind("postgresql-local", _DATABASE, "lifo", **_on("postgresql-local")),
    Kind("mariadb-lifo", _DATABASE, "lifo", **_on("mariadb")),
    Kind("mariadb-fifo", _DATABASE, "fifo", **_on("mariadb")),
)

ONE_ORDER = tuple(kind for kind in KINDS if kind.order == "lifo")
"""The order changes what a claim chooses, and nothing else."""


def on_kinds(kinds: Sequence[Kind]) -> pytest.MarkDecorator:
    """Run a test on these kinds of store instead of all in one order."""
    return pytest.mark.parametrize("kind", kinds, ids=str, indirect=True)


in_both_orders = on_kinds(KINDS)
on_databases = on_kinds([kind for kind in ONE_ORDER if kind.database is not None])
with_threads = on_kinds([kind for kind in ONE_ORDER if kind.has_threads])
with_processes = on_kinds([kind for kind in ONE_ORDER if kind.has_processes])


@dataclass
class Store:
    """One open, empty store: the aliases ``default`` and ``other`` of ``TASKS`` use it."""

    kind: Kind
    tasks: dict[str, Any]
    database: dict[str, Any] | None
    _others: list[Storage] = field(default_factory=list)

    @property
    def backend(self) -> MainspringBackend:
        return task_backends["default"]

    @property
    def storage(self) -> Storage:
        return self.backend.storage

    @property
    def other_alias(self) -> Storage:
        return task_backends["other"].storage

    def another_process(self) -> Storage:
        """Return the storage that another process would have."""
        if not self.kind.has_processes:
            return self.storage
        storage = type(self.storage)(self.backend.config)  # type: ignore[call-arg]
        self._others.append(storage)
        return storage

    def in_thread(self, call: Callable[[], Any]) -> "Future[Any]":
        """Have ``call`` called in another thread, which leaves nothing open behind it."""

        def run() -> Any:
            try:
                return call()
            finally:
                for storage in (self.storage, *self._others):
                    storage.close_thread()
                if self.database is not None:
                    connections[STORE].close()

        pool = ThreadPoolExecutor(1)
        future = pool.submit(run)
        pool.shutdown(wait=False)
        return future

    def close(self) -> None:
        for storage in self._others:
            storage.close()


class Stores:
    """Opens stores; one for the whole session, as migrating takes a while."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self._folder = folder
        self._servers = servers
        self._emptied: dict[str, str] = {}
        self._templates: dict[str, str] = {}

    @cached_property
    def template(self) -> Path:
        """An SQLite file with the tables in it, as ``migrate`` leaves it."""
        path = self._folder / "template.sqlite3"
        with database(sqlite_settings(path)):
            call_command("migrate", database=STORE, verbosity=0)
        return path

    def emptied(self, name: str) -> dict[str, Any]:
        """Return the settings of this process's one database on a server, emptied."""
        server = self.server(name)
        if name not in self._emptied:
            self._emptied[name] = server.new_database(self.server_template(name))
        server.empty(self._emptied[name])
        return server.settings(self._emptied[name])

    def server_template(self, name: str) -> str:
        """Return the name of a database on a server, as ``migrate`` leaves it."""
        if name not in self._templates:
            self._templates[name] = migrated(self.server(name))
        return self._templates[name]

    def server(self, name: str) -> Server:
        """Return a server; skip the test where there is none."""
        return self._servers.get(name)

    @contextmanager
    def open(self, kind: Kind, folder: Path, **options: Any) -> Iterator[Store]:
        """Open a new store of this kind, with further ``OPTIONS``."""
        entry = {
            "BACKEND": kind.backend,
            "QUEUES": [],
            "OPTIONS": {"ORDER": kind.order, **kind.options, **options},
        }
        tasks = {"default": entry, "other": entry}
        template = self.template  # before the store takes the alias
        with ExitStack() as stack:
            settings = None
            if kind.database is not None:
                settings = kind.database(self, folder)
                connection = stack.enter_context(database(settings))
                if settings["NAME"] == ":memory:":
                    _fill(connection, template)
            stack.enter_context(override_settings(TASKS=tasks))
            # The contract's jobs wait for the test to claim them.
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(memory, "start_embedded_worker", lambda alias: None)
            store = Store(kind, tasks, settings)
            stack.callback(store.close)
            yield store


def migrated(server: Server) -> str:
    """Make a database on a server, as ``migrate`` leaves it, and return its name."""
    name = server.new_database()
    with database(server.settings(name)):
        call_command("migrate", database=STORE, verbosity=0)
    return name


@contextmanager
def database(settings: Mapping[str, Any], alias: str = STORE) -> Iterator[BaseDatabaseWrapper]:
    """Add a database to ``DATABASES`` for a while, and the router that sends our tables to it."""
    mysql_driver.install_for({alias: dict(settings)})
    configured = connections.configure_settings({"default": {}, alias: dict(settings)})
    connections.settings[alias] = configured[alias]
    try:
        with override_settings(DATABASE_ROUTERS=[StoreRouter()]):
            yield connections[alias]
    finally:
        # Django's own close() leaves a database in memory open.
        BaseDatabaseWrapper.close(connections[alias])
        del connections[alias]
        del connections.settings[alias]


def _fill(connection: BaseDatabaseWrapper, template: Path) -> None:
    connection.ensure_connection()
    source = sqlite3.connect(template)
    source.backup(connection.connection)
    source.close()
