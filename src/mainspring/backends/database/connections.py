"""The connections that workers use for the verbs, apart from those that tasks use."""

import os
import threading
from contextlib import suppress

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from mainspring.backends.database.vendors import Dialect


class WorkerConnections:
    """One connection per thread, which no task can close or leave in a transaction."""

    def __init__(self, alias: str, dialect: Dialect) -> None:
        self._alias = alias
        self._dialect = dialect
        self._local = threading.local()

    def get(self) -> BaseDatabaseWrapper:
        """Return the calling thread's connection; one made before a fork is not used after it."""
        held: tuple[int, BaseDatabaseWrapper] | None = getattr(self._local, "held", None)
        if held is None or held[0] != os.getpid():
            connection = self._dialect.new_connection(connections[self._alias])
            self._local.held = held = (os.getpid(), connection)
        return held[1]

    def close(self) -> None:
        """Close the calling thread's connection; the next use opens another."""
        held: tuple[int, BaseDatabaseWrapper] | None = getattr(self._local, "held", None)
        self._local.held = None
        if held is not None and held[0] == os.getpid() and held[1] is not connections[self._alias]:
            with suppress(Error):
                held[1].close()
