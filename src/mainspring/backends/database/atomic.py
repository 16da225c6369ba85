"""Transactions for atomic tasks, on Django's own connection."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError, atomic

from mainspring.backends.database.vendors import Dialect
from mainspring.backends.transactions import Hooks, Noted, Transaction
from mainspring.core.jobs import Outcome, State
from mainspring.exceptions import StoreUnavailable

logger = logging.getLogger("mainspring")

_LONGEST_CHAIN: Final = 20  # of errors, which may go round in circles
_REMEDY: Final = "Nothing that the task wrote to it is kept."


class DatabaseTransaction(Transaction):
    """A transaction that Django takes for one of its own.

    Savepoints are not released one by one, which would be a round trip for each task: the release
    of the first one at the end tells whether it is still the transaction that was begun.
    """

    def __init__(self, connection: BaseDatabaseWrapper, dialect: Dialect) -> None:
        """Begin; raises Django's database errors."""
        self.alias = connection.alias
        self._connection: Any = connection  # its stubs do not know all of it
        self._dialect = dialect
        if not connection.get_autocommit():
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['AUTOCOMMIT'] is False. Atomic tasks need True: each "
                "runs in a transaction that Mainspring begins and commits."
            )
        self._outer = atomic(using=self.alias)
        dialect.begin(connection, self._outer)
        connection.execute_wrappers.append(self._refuse_to_end)
        try:
            self._first = self._savepoint = self._new_savepoint()
        except BaseException:
            self.is_broken = True
            self.roll_back()
            raise
        self._is_marked = True
        self._reset()

    def _new_savepoint(self) -> str:
        savepoint: str = self._connection.savepoint()
        return savepoint

    # One task after the other

    def mark(self) -> None:
        """Set a savepoint, unless nothing was kept since the last one."""
        if not self._is_marked:
            try:
                self._savepoint = self._new_savepoint()
            except (DatabaseError, InterfaceError) as error:
                self.is_broken = True
                raise self._unavailable(error) from error
            self._is_marked = True
            self._reset()

    def keep(self) -> Hooks | None:
        """Look whether the transaction is as it was, as far as that is known without asking."""
        if problem := self._problem():
            raise TransactionManagementError(f"{problem} {_REMEDY}")
        self._is_marked = False
        hooks, self._connection.run_on_commit = self._connection.run_on_commit, []
        return partial(_call, hooks) if hooks else None

    def _problem(self) -> str:
        connection = self._connection
        database = f"DATABASES[{self.alias!r}]"
        if connections[self.alias] is not connection or connection.closed_in_transaction:
            return (
                f"The task closed the connection to {database}, on which it runs in a transaction, "
                "as it is atomic. Leave it open."
            )
        state = self._dialect.transaction_state(connection)
        if connection.needs_rollback or state == "failed":
            return (
                f"The task went on after an error of {database} that its transaction cannot go on "
                "after, or asked for a rollback. Put what may fail in a block of its own, 'with "
                "transaction.atomic():', and raise to have everything rolled back."
            )
        if state == "ended" or not connection.in_atomic_block:
            return _ended(database)
        if connection.atomic_blocks != [self._outer]:
            return (
                f"The task left a transaction.atomic() block on {database} open. Use it as a "
                "context manager or a decorator."
            )
        return ""

    def undo(self) -> None:
        """Go back to the savepoint; where that fails, nothing of the transaction can be kept."""
        connection = self._connection
        if connections[self.alias] is not connection or connection.closed_in_transaction:
            self.is_broken = True
            return
        self._reset()
        try:
            connection.savepoint_rollback(self._savepoint)
        except Exception:  # noqa: BLE001 # what a task has broken, a driver may fail on in any way
            self.is_broken = True
        connection.run_on_commit = []
        self._is_marked = True

    def _reset(self) -> None:
        # Django's view of the transaction, whatever the task has done to it.
        connection = self._connection
        connection.in_atomic_block = True
        connection.atomic_blocks = [self._outer]
        connection.savepoint_ids = [self._savepoint]
        connection.needs_rollback = False

    def is_conflict(self, error: BaseException) -> bool:
        """Look for a deadlock and the like in the error and in what led to it."""
        found: BaseException | None = error
        for _ in range(_LONGEST_CHAIN):
            if isinstance(found, DatabaseError) and self._dialect.is_transient(found):
                return True
            found = found and (found.__cause__ or found.__context__)
        return False

    # The end

    def settle(self, outcomes: Sequence[Outcome], noted: Sequence[Noted] = ()) -> list[str]:
        """Settle on the same connection, and commit."""
        self._conclude()
        try:
            lost = self._dialect.settle_within(self._connection, outcomes, noted)
        except (DatabaseError, InterfaceError) as error:
            self.is_broken = True
            self.roll_back()
            raise self._unavailable(error) from error
        if lost:
            self.roll_back()
            return lost
        self._commit()
        ended = [outcome.id for outcome in outcomes if outcome.state >= State.SUCCESSFUL]
        self._dialect.tell_settled(self._connection, ended)
        return []

    def _conclude(self) -> None:
        try:
            self._dialect.conclude(self._connection, self._first)
        except (DatabaseError, InterfaceError) as error:
            self.is_broken = True
            self.roll_back()
            if isinstance(error, TransactionManagementError):
                ended = _ended(f"DATABASES[{self.alias!r}]")
                raise TransactionManagementError(f"{ended} {_REMEDY}") from error
            self._raise_as(error)

    def _commit(self) -> None:
        try:
            self._leave()
        except (DatabaseError, InterfaceError) as error:
            self._raise_as(error)

    def _raise_as(self, error: Exception) -> NoReturn:
        # What is no matter of connections, locks and space is one of what the tasks wrote.
        if isinstance(error, OperationalError | InterfaceError):
            raise self._unavailable(error) from error
        raise error

    def roll_back(self) -> None:
        """Roll back; close the connection if it cannot be told what state it is in."""
        connection = self._connection
        if self.is_broken and not connection.closed_in_transaction:  # else a pool's, by now
            self._dialect.stop_statement(connection)
        try:
            connection.needs_rollback = True
            self._leave()
        except Exception:  # noqa: BLE001
            self.is_broken = True
            connection.in_atomic_block = False
            connection.atomic_blocks = []
        if self.is_broken:
            with suppress(Exception):
                connection.close()

    def _leave(self) -> None:
        connection = self._connection
        with suppress(ValueError):
            connection.execute_wrappers.remove(self._refuse_to_end)
        needs_rollback = connection.needs_rollback
        self._reset()
        connection.needs_rollback = needs_rollback
        connection.savepoint_ids = []
        connection.run_on_commit = []
        self._dialect.end(connection, self._outer)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return self._dialect.failure(error)

    def _refuse_to_end(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        # What it would commit is not the task's alone, and the outcomes would be missing.
        if isinstance(sql, str) and self._dialect.ends_transaction.match(sql):
            raise TransactionManagementError(
                f"An atomic task cannot execute {sql.split(None, 1)[0].upper()} on "
                f"DATABASES[{self.alias!r}], as that ends the transaction that it runs in. Use "
                "transaction.atomic(), or declare the task without atomic=True."
            )
        return execute(sql, params, many, context)


def _ended(database: str) -> str:
    return (
        f"The transaction on {database} that the task runs in, as it is atomic, has ended: by SQL "
        "of the task's own, on the driver's connection, or by the server. Use transaction.atomic()."
    )


def _call(hooks: Sequence[tuple[Any, Callable[[], Any], bool]]) -> None:
    # As Django calls them: an error ends them, unless the hook was said to be robust.
    for _, hook, is_robust in hooks:
        try:
            hook()
        except Exception:
            if not is_robust:
                raise
            logger.exception("Error calling %r in on_commit()", hook)
