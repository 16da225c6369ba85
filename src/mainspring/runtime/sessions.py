"""Detect what a task's statements leave behind in its database session.

A rollback ends the transaction and its settings. Other settings, temporary tables, advisory locks
and the like last as long as the session, which ends with its connection.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary, WeakSet

type Change = Literal["", "transaction", "session"]
"""How long the effect of a statement lasts; "" if it only changes rows."""

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
    """Return how long the effect of a statement lasts, judged by its text."""
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
    if first in _BEGINS:  # Django uses it on SQLite, whose connection reports transactions
        return "" if vendor == "sqlite" else "session"
    if first == "CREATE":
        return "" if _TEMPORARY.isdisjoint(others[:3]) else "session"
    return "session" if first in _FOR_SESSION else ""


def _change_by_call(text: str) -> Change:
    if any(call in text for call in _SESSION_CALLS):
        return "session"
    return "transaction" if "advisory_xact_lock" in text else ""


class Watch:
    """Watches the statements of one connection, as one of its ``execute_wrappers``."""

    def __init__(self, connection: Any) -> None:
        self.change: Change = ""
        """The longest effect of any statement since the watch began."""
        self._vendor = connection.vendor
        self._cursors: WeakSet[Any] = WeakSet()

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement, and record how long its effect lasts."""
        if self.change != "session":
            change: Change = change_of(sql, self._vendor) if type(sql) is str else "session"
            self.change = self.change if change == "" else change
        with suppress(TypeError):  # some cursors do not support weak references
            self._cursors.add(context["cursor"].cursor)
        return execute(sql, params, many, context)

    @property
    def has_cursors(self) -> bool:
        """Return True if cursors are still referenced, and so may still be read."""
        return len(self._cursors) > 0

    def close_cursors(self) -> None:
        """Close the cursors that are still referenced, as they may hold locks."""
        for cursor in list(self._cursors):
            with suppress(Exception):  # the connection may be lost, which is checked next
                cursor.close()
        self._cursors.clear()


_watches: WeakKeyDictionary[Any, Watch] = WeakKeyDictionary()


def watch(connection: Any) -> None:
    """Watch the statements of a connection, whose session is in its initial state."""
    found = _watches.get(connection)
    if found is None:
        found = _watches[connection] = Watch(connection)
    found.change = ""
    if found not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, found)


def watch_of(connection: Any) -> Watch | None:
    """Return the watch on a connection's statements, or None."""
    return _watches.get(connection)


def unwatch(connection: Any) -> None:
    """Stop watching a connection's statements."""
    with suppress(KeyError, ValueError):
        connection.execute_wrappers.remove(_watches[connection])


def is_lost(connection: Any) -> bool:
    """Return True if the driver's connection was closed without Django's knowledge."""
    raw = connection.connection
    if connection.vendor == "sqlite":
        try:
            raw.total_changes  # noqa: B018 # raises on a closed connection
        except Exception:  # noqa: BLE001
            return True
        return False
    if connection.vendor == "postgresql":
        return bool(getattr(raw, "closed", False))
    return not getattr(raw, "open", True)


def is_in_transaction(connection: Any) -> bool:
    """Return True if a connection is in a transaction, even one that Django did not begin."""
    if connection.in_atomic_block:
        return True
    raw = connection.connection
    if raw is None:
        return False
    if not connection.get_autocommit():
        return True
    with suppress(Exception):  # a broken connection has nothing to roll back
        if connection.vendor == "sqlite":
            return bool(raw.in_transaction)
        if connection.vendor == "postgresql":
            return raw.info.transaction_status not in _NO_TRANSACTION
    return False  # MariaDB's drivers do not report it; a BEGIN counts as a session change
