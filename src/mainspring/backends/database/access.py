"""Access to the database: whose connections the verbs use, and what its errors mean."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import DatabaseError, InterfaceError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks.exceptions import InvalidTaskBackend

from mainspring.backends.database.admission import Admission
from mainspring.backends.database.answers import Answer
from mainspring.backends.database.claims import ClaimSize, Demand
from mainspring.backends.database.connections import WorkerConnections
from mainspring.backends.database.doubts import Doubts
from mainspring.backends.database.patience import is_in_transaction, let_go
from mainspring.backends.database.rescue import LostJobs
from mainspring.backends.database.vendors import Dialect, dialect_of
from mainspring.backends.storage import Storage
from mainspring.conf import Config


class DatabaseAccess(Storage):
    """What the verbs have in common.

    Those that a caller uses run on Django's connection, and so in its transaction; those that a
    worker uses run on a connection of the worker's own.
    """

    def __init__(self, config: Config) -> None:
        self._backend = config.alias
        self._options = config.options
        self._demand = Demand()
        self._doubts = Doubts()
        self._size = ClaimSize()
        self._prune_after = ""
        self._lost = LostJobs(config.alias, config.options.policy)
        self._admission = Admission(config.alias, self._reading, self._writing)
        self._paused: Sequence[str] = ()
        self._newest_held = ""
        self._paused_now = Answer[Sequence[str]]()
        self._next_due = Answer[tuple[int | None, bool]]()

    @cached_property
    def _alias(self) -> str:
        from mainspring.backends.database.models import StoredJob

        return router.db_for_write(StoredJob)

    @cached_property
    def _dialect(self) -> Dialect:
        return dialect_of(connections[self._alias])(
            connections[self._alias], self._backend, self._options
        )

    @cached_property
    def _own(self) -> WorkerConnections:
        return WorkerConnections(self._alias, self._dialect)

    def describe(self) -> str:
        """See :meth:`Storage.describe`."""
        product = self._dialect.product(connections[self._alias])
        return f"database {self._dialect.alias!r} ({product})"

    def check(self) -> list[CheckMessage]:
        """Return what is wrong with the database's settings, for ``manage.py check``."""
        try:
            return self._dialect.check(connections[self._alias])
        except InvalidTaskBackend as error:
            return [Error(str(error), id="mainspring.E003")]

    @property
    def alias(self) -> str:
        """Which of ``DATABASES`` it is, by the routers."""
        return self._alias

    def check_server(self) -> list[CheckMessage]:
        """Return what is wrong with the server, for ``manage.py check --database``."""
        try:
            return self._dialect.check_server(connections[self._alias])
        except InvalidTaskBackend:  # reported by check()
            return []

    @property
    def identity(self) -> str:
        """See :attr:`Storage.identity`."""
        return f"{self._dialect.identity}:{self._backend}"

    def close_thread(self) -> None:
        """Close the calling thread's own connection."""
        if "_own" in vars(self):  # what was never used needs no closing, and may be unusable
            with self._dialect.gate:
                self._own.close()

    def close(self) -> None:
        """Close the calling thread's own connection and what waiting holds open."""
        self.close_thread()
        if "_dialect" in vars(self):
            self._dialect.close()

    def _notify(self) -> None:
        with self._own_connection() as connection:
            self._dialect.notify(connection)

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        with self._own_connection() as connection, self._dialect.write(connection) as cursor:
            yield cursor

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with self._own_connection() as connection, self._dialect.read(connection) as cursor:
            yield cursor

    def _answered[T](self, answer: Answer[T], ask: Callable[[Any], T]) -> T:
        # Ask, with a cursor, only if the database may have changed since the last time.
        with self._own_connection() as connection:

            def ask_now() -> T:
                with self._dialect.read(connection) as cursor:
                    return ask(cursor)

            return answer.get(self._dialect.mark(connection), ask_now)

    @contextmanager
    def _own_connection(self) -> Iterator[BaseDatabaseWrapper]:
        with self._dialect.gate:
            try:
                yield self._own.get()
            except (DatabaseError, InterfaceError) as error:
                # What was wrong may end for new connections only: a file's rights, for one.
                self._own.close()
                raise self._dialect.failure(error) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except transaction.TransactionManagementError:  # the caller's transaction is broken
            raise
        except (DatabaseError, InterfaceError) as error:
            connection = connections[self._alias]
            if is_in_transaction(connection):
                if self._dialect.is_conflict(error):  # the caller must retry the whole transaction
                    raise
                if self._dialect.is_read_only(error):
                    let_go(connection)
            raise self._dialect.failure(error) from error
