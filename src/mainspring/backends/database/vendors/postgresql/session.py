"""The session of one connection: what holds in it, and whether it is ours alone."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import Connection, RawCursor

# Claims and settles know their indexes. Left to itself, the planner may read the whole table where
# its statistics are old, as they are in a queue that was empty a minute ago.
_PLANS: Final = (
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),  # the planner takes what the lines above left it for costly
    ("plan_cache_mode", "force_generic_plan"),
)

# Our transactions are never idle for long. If a process is frozen or its machine is gone, the
# server ends its transaction, so that others can rescue its work instead of waiting for its locks.
_IDLE: Final = (("idle_in_transaction_session_timeout", "5s"),)

LOCK_WAIT: Final = "1s"
"""How long a statement waits for locks of others. The rest of the worker waits with it."""


@contextmanager
def pipeline(raw: Connection[Any]) -> Iterator[None]:
    """Send the block's statements at once, BEGIN and COMMIT among them, and read the answers.

    Not ``Pipeline.sync()`` between transactions: of a statement of a megabyte, psycopg 3.3 may then
    wait for the answer before all of it is sent.
    """
    has_sent = False
    try:
        with raw.pipeline():
            yield
            has_sent = True
    except IndexError as error:
        if not has_sent:
            raise
        # psycopg 3.3 meets more answers than statements where a server that goes down says so.
        raw.close()
        raise psycopg.OperationalError("the connection ended in the midst of answers") from error
    except BaseException:
        with suppress(psycopg.Error):
            raw.rollback()
        raise


def is_pooled(raw: Connection[Any]) -> bool:
    """Whether a pooler such as PgBouncer stands between: it makes up the process id it tells.

    In transaction mode, each transaction may have another session: no LISTEN, no SET, nothing
    prepared.
    """
    with RawCursor(raw) as cursor:
        cursor.execute("SELECT pg_backend_pid()", prepare=False)
        row = cursor.fetchone()
    return row is None or row[0] != raw.info.backend_pid


def is_local(raw: Connection[Any]) -> bool:
    """Whether the server is on this machine."""
    host = raw.info.host
    return not host or host.startswith(("/", "127.")) or host in {"localhost", "::1"}


def tune(raw: Connection[Any]) -> None:
    """Have statements prepared, and planned on their indexes, and no transaction wait for us."""
    raw.prepare_threshold = 0
    with RawCursor(raw) as cursor:
        _set(cursor, is_local=False)


def tune_transaction(cursor: RawCursor[Any]) -> None:
    """Have statements planned on their indexes, and this transaction not wait for us."""
    _set(cursor, is_local=True)


def _set(cursor: RawCursor[Any], is_local: bool) -> None:
    pairs = (*_PLANS, *_IDLE, ("lock_timeout", LOCK_WAIT))
    settings = ", ".join(f"set_config('{name}', '{value}', $1)" for name, value in pairs)
    cursor.execute(f"SELECT {settings}".encode(), (is_local,))


def identity_of(settings: Mapping[str, Any]) -> str:
    """Return a string for the server, database and schema of an entry of ``DATABASES``."""
    keys = ("HOST", "PORT", "NAME", "USER")
    host, port, name, user = (settings.get(key) or "" for key in keys)
    options = settings["OPTIONS"]
    # The search_path may come from the options, or from the defaults of the user or role.
    user = user or options.get("user") or os.environ.get("PGUSER", "")
    role = options.get("assume_role") or ""
    path = options.get("options") or os.environ.get("PGOPTIONS", "")
    return ":".join(
        ("postgresql", options.get("service", ""), host, str(port), name, user, role, path)
    )
