"""The connections that workers use for the verbs, apart from those that tasks use."""

import os
import threading
from contextlib import suppress

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.vendors import Dialect

# Connections that came over a fork: the child may not even close them, as that would do to the
# file what the parent's closing does.
_inherited: list[BaseDatabaseWrapper] = []


class WorkerConnections:
    """One connection per thread, which no task can close or leave in a transaction."""

    def __init__(self, alias: str, dialect: Dialect) -> None:
        self._alias = alias
        self._dialect = dialect
        self._local = threading.local()

    def get(self) -> BaseDatabaseWrapper:
        """Return the calling thread's connection; one made before a fork is not used after it."""
        held = self._held()
        if held is None:
            connection = self._dialect.new_connection(connections[self._alias])
            self._local.held = held = (os.getpid(), connection)
        return held[1]

    @property
    def is_open(self) -> bool:
        """Whether the calling thread has a connection."""
        return self._held() is not None

    def _held(self) -> tuple[int, BaseDatabaseWrapper] | None:
        held: tuple[int, BaseDatabaseWrapper] | None = getattr(self._local, "held", None)
        if held is not None and held[0] != os.getpid():
            _inherited.append(held[1])
            self._local.held = held = None
        return held

    def close(self) -> None:
        """Close the calling thread's connection; the next use opens another."""
        held = self._held()
        self._local.held = None
        if held is not None and held[1] is not connections[self._alias]:
            with suppress(Error):
                held[1].close()
