"""Sessions: notices what a task's statements leave in its database session.

Rolling back ends transactions, and what lasts as long as they do. Settings, temporary tables,
advisory locks and the like last as long as the session, which ends with its connection.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary, WeakSet

type Change = Literal["", "transaction", "session"]
"""How long what a statement changes will last: "" if it changes nothing but rows."""

_WORDS: Final = """
ATTACH DECLARE DETACH DISCARD DO FLUSH HANDLER LISTEN LOAD PRAGMA PREPARE RESET SET USE XA"""
_FOR_SESSION: Final = frozenset(_WORDS.split())
_FOR_TRANSACTION: Final = frozenset({"CONSTRAINTS", "LOCAL", "TRANSACTION"})  # after SET
_BEGINS: Final = frozenset({"BEGIN", "START"})
_TEMPORARY: Final = frozenset({"TEMP", "TEMPORARY"})
_READS: Final = frozenset({"SELECT", "WITH", "VALUES", "EXECUTE", "TABLE"})
_SESSION_CALLS: Final = ("set_config", "advisory_lock", "get_lock(", "into temp", ":=", "into @")
_HEAD: Final = 80  # characters
_NO_TRANSACTION: Final = (0, 4)  # libpq's PQTRANS_IDLE, and PQTRANS_UNKNOWN of a lost connection


def change_of(sql: str, vendor: str) -> Change:
    """Return how long what a statement changes will last, as far as its text shows."""
    if ";" in sql:
        changes = {_change_of(one, vendor) for one in sql.split(";")}
        return "session" if "session" in changes else max(changes)
    return _change_of(sql, vendor)


def _change_of(sql: str, vendor: str) -> Change:
    text = sql.lstrip(" \t\r\n(")
    while text.startswith(("--", "/*")):
        text = text.partition("\n" if text.startswith("--") else "*/")[2].lstrip(" \t\r\n(")
    first, *others = text[:_HEAD].upper().split() or [""]
    if first in _READS:
        return _change_by_call(text.lower())
    if first == "SET" and others and others[0] in _FOR_TRANSACTION:
        return "transaction"
    if first == "LOCK":
        return "session" if vendor == "mysql" else "transaction"
    if first in _BEGINS:  # Django has SQLite begin so, and its connection tells about it
        return "" if vendor == "sqlite" else "session"
    if first == "CREATE":
        return "" if _TEMPORARY.isdisjoint(others[:3]) else "session"
    return "session" if first in _FOR_SESSION else ""


def _change_by_call(text: str) -> Change:
    if any(call in text for call in _SESSION_CALLS):
        return "session"
    return "transaction" if "advisory_xact_lock" in text else ""


class Watch:
    """Looks at the statements of one connection; among its ``execute_wrappers``."""

    def __init__(self, connection: Any) -> None:
        self.change: Change = ""
        """The most that any statement has changed since the session was as it is to be."""
        self._vendor = connection.vendor
        self._cursors: WeakSet[Any] = WeakSet()

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement, and note what it changes."""
        if self.change != "session":
            change: Change = change_of(sql, self._vendor) if type(sql) is str else "session"
            self.change = self.change if change == "" else change
        with suppress(TypeError):  # a driver's that nothing can refer to weakly
            self._cursors.add(context["cursor"].cursor)
        return execute(sql, params, many, context)

    @property
    def has_cursors(self) -> bool:
        """Whether cursors are still referred to: somebody may be in the midst of reading."""
        return len(self._cursors) > 0

    def close_cursors(self) -> None:
        """Close the cursors that are still referred to, as they may hold locks."""
        for cursor in list(self._cursors):
            with suppress(Exception):  # as the connection may be gone; it is looked at next
                cursor.close()
        self._cursors.clear()


_watches: WeakKeyDictionary[Any, Watch] = WeakKeyDictionary()


def watch(connection: Any) -> None:
    """Look at the statements of a connection from now on; its session is as it is to be."""
    found = _watches.get(connection)
    if found is None:
        found = _watches[connection] = Watch(connection)
    found.change = ""
    if found not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, found)


def watch_of(connection: Any) -> Watch | None:
    """Return what looks at a connection's statements; None if nothing does."""
    return _watches.get(connection)


def unwatch(connection: Any) -> None:
    """Look at a connection's statements no more."""
    with suppress(KeyError, ValueError):
        connection.execute_wrappers.remove(_watches[connection])


def is_lost(connection: Any) -> bool:
    """Return True if the driver's connection was closed where Django did not see it."""
    raw = connection.connection
    if connection.vendor == "sqlite":
        try:
            raw.total_changes  # noqa: B018 # what a closed one does not tell
        except Exception:  # noqa: BLE001
            return True
        return False
    if connection.vendor == "postgresql":
        return bool(getattr(raw, "closed", False))
    return not getattr(raw, "open", True)


def is_in_transaction(connection: Any) -> bool:
    """Return True if a connection is in a transaction, be it one that Django did not begin."""
    if connection.in_atomic_block:
        return True
    raw = connection.connection
    if raw is None:
        return False
    if not connection.get_autocommit():
        return True
    with suppress(Exception):  # of a connection that is broken: then there is nothing to roll back
        if connection.vendor == "sqlite":
            return bool(raw.in_transaction)
        if connection.vendor == "postgresql":
            return raw.info.transaction_status not in _NO_TRANSACTION
    return False  # MariaDB's drivers do not tell; a BEGIN counts as a change of the session
