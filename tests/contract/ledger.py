"""Tasks that write to the database of the store, each a row of the ledger."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from django.db import OperationalError, connections, transaction

from mainspring import TaskContext, task
from tests.contract.router import STORE

called: list[str] = []
"""The names of what was called, however often."""
hooked: list[str] = []
"""The names whose on_commit() functions were called."""

_TABLES = {
    "sqlite": "DEFERRABLE INITIALLY DEFERRED",
    "postgresql": "DEFERRABLE INITIALLY DEFERRED",
    "mysql": "",
}


def create() -> None:
    """Make the tables: a ledger, and one whose rows must have an owner in the end."""
    execute("CREATE TABLE ledger (name varchar(50))")
    execute("CREATE TABLE owner (id integer PRIMARY KEY)")
    deferred = _TABLES[connections[STORE].vendor]
    execute(
        "CREATE TABLE owned (owner_id integer, CONSTRAINT owned_by"
        f" FOREIGN KEY (owner_id) REFERENCES owner (id) {deferred})"
    )
    called.clear()
    hooked.clear()


def drop() -> None:
    """Drop the tables."""
    for table in ("owned", "owner", "ledger"):
        execute(f"DROP TABLE {table}")


def execute(sql: str, *params: Any) -> None:
    """Run a statement on Django's connection."""
    with connections[STORE].cursor() as cursor:
        cursor.execute(sql, params or None)


def entries() -> list[str]:
    """Return the names in the ledger, sorted."""
    with connections[STORE].cursor() as cursor:
        cursor.execute("SELECT name FROM ledger ORDER BY name")
        return [name for (name,) in cursor.fetchall()]


def enter(name: str) -> None:
    """Write a row."""
    called.append(name)
    execute("INSERT INTO ledger VALUES (%s)", name)


@task
def write(name: str) -> str:
    """Write."""
    enter(name)
    return name


@task
def write_and_raise(name: str) -> None:
    """Write, then fail."""
    enter(name)
    raise ValueError(name)


@task
def write_and_return_what_is_not_json(name: str) -> object:
    """Write, then return what cannot be stored."""
    enter(name)
    return object()


@task
def write_orphan(name: str) -> None:
    """Write what a constraint forbids that some databases look at in the end."""
    enter(name)
    execute("INSERT INTO owned VALUES (1)")


@task
def write_and_hook(name: str, fails: bool = False) -> None:
    """Write, and have something called after the commit."""
    enter(name)

    def call() -> None:
        assert not connections[STORE].in_atomic_block
        hooked.append(name)
        if fails:
            raise SystemExit(name)

    transaction.on_commit(call, using=STORE)
    if name.endswith("raises"):
        raise ValueError(name)


@task
def write_nested(name: str) -> None:
    """Write in blocks of its own, of which one fails."""
    enter(f"{name}: before")
    try:
        with transaction.atomic(using=STORE):
            enter(f"{name}: never")
            transaction.on_commit(lambda: hooked.append("never"), using=STORE)
            raise ValueError
    except ValueError:
        pass
    with transaction.atomic(using=STORE):
        enter(f"{name}: after")


@task
def look(_: str) -> list[Any]:
    """Return what a task without a transaction sees."""
    return [connections[STORE].in_atomic_block, entries()]


@task
def try_to_write_elsewhere(name: str) -> str:
    """Return what SQLite says to another who would write."""
    with closing(sqlite3.connect(name, timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return str(error)
        return "not locked"


@task
def meet_another(name: str) -> None:
    """Write, then be chosen as the victim of a deadlock, the first time."""
    enter(name)
    if called.count(name) == 1:
        try:
            raise OperationalError("deadlock")
        except OperationalError as error:
            raise ValueError(name) from error


@task(takes_context=True)
def note(context: TaskContext, name: str) -> None:
    """Write to the ledger and to the metadata."""
    enter(name)
    context.metadata["name"] = name
    context.save_metadata()
    if name.endswith("raises"):
        raise ValueError(name)


@task
def break_transaction(name: str, how: str) -> None:
    """Write, then do to the transaction what a task should not."""
    enter(name)
    BREAKS[how]()


def _close() -> None:
    connections[STORE].close()


def _close_all_and_raise() -> None:
    connections.close_all()
    raise ValueError("closed")


def _leave_block() -> None:
    transaction.atomic(using=STORE).__enter__()


def _leave_two_blocks_and_raise() -> None:
    _leave_block()
    _leave_block()
    raise ValueError("left")


def _leave_outer_block() -> None:
    connections[STORE].atomic_blocks[0].__exit__(None, None, None)


def _go_on_after_error() -> None:
    try:
        execute("INSERT INTO nowhere VALUES (1)")
    except Exception:
        connections[STORE].needs_rollback = True  # as Model.save() does


def _go_on_after_raw_error() -> None:
    with suppress(Exception):
        execute("INSERT INTO nowhere VALUES (1)")


def _ask_for_rollback() -> None:
    transaction.set_rollback(True, using=STORE)


def _execute(sql: str) -> Callable[[], None]:
    return lambda: execute(sql)


def _roll_back_raw() -> None:
    connections[STORE].connection.rollback()


def _roll_back_and_go_on_raw() -> None:
    raw = connections[STORE].connection
    raw.rollback()
    raw.cursor().execute("BEGIN")
    enter("stray")


def _replace_connection() -> None:
    held = connections[STORE]
    del connections[STORE]
    enter("elsewhere")
    connections[STORE].close()
    connections[STORE] = held


BREAKS: dict[str, Callable[[], None]] = {
    "closes the connection": _close,
    "closes all connections and raises": _close_all_and_raise,
    "leaves a block": _leave_block,
    "leaves two blocks and raises": _leave_two_blocks_and_raise,
    "leaves the outer block": _leave_outer_block,
    "goes on after an error": _go_on_after_error,
    "goes on after an error of a cursor": _go_on_after_raw_error,
    "asks for a rollback": _ask_for_rollback,
    "commits": lambda: transaction.commit(using=STORE),
    "rolls back": lambda: transaction.rollback(using=STORE),
    "turns autocommit on": lambda: transaction.set_autocommit(True, using=STORE),
    "executes COMMIT": _execute(" commit"),
    "executes ROLLBACK": _execute("ROLLBACK"),
    "executes BEGIN": _execute("BEGIN"),
    "rolls back by the driver": _roll_back_raw,
    "rolls back by the driver and goes on": _roll_back_and_go_on_raw,
}
