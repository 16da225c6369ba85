"""What the errors of MariaDB and MySQL mean, by their numbers."""

from typing import Final

from django.db.utils import InterfaceError

COLLISIONS: Final = frozenset({1020, 1205, 1213})
"""Two transactions conflicted: row changed since it was read, lock wait timeout, deadlock."""

LOST: Final = frozenset({1053, 1927, 2006, 2013, 2055, 4031})
"""The server has gone away, or has closed the connection."""

READ_ONLY: Final = frozenset({1290, 1792, 1836})
"""The server or the session is read-only."""

_LOCK_TIMEOUT: Final = 1205
_REFUSALS: Final = frozenset({1118, 1153, 1301, 2020})
"""The row, the statement or a value is too large."""

_MIGRATE: Final = "run 'manage.py migrate'"
_GRANT: Final = "let its user in, and grant it the rights on the mainspring_* tables"

_EXPLANATIONS: Final = (
    ({1146}, f"lacks Mainspring's tables; {_MIGRATE}"),
    ({1054, 1176, 1735, 1747}, f"has Mainspring's tables of another version; {_MIGRATE}"),
    ({1049}, "does not exist; create it, or correct NAME"),
    ({1040, 1203, 1226}, "has no connection left; raise max_connections or lower CONN_MAX_AGE"),
    (
        {1153, 1301, 2020},
        "takes no statement as large as this; raise its max_allowed_packet to twice MAX_PAYLOAD",
    ),
    ({1021, 1114}, "cannot grow, as the disk is full; free some space"),
    (READ_ONLY, "is read-only, as a replica is; connect to the primary"),
    ({1044, 1045, 1142, 1143, 1227, 1698}, f"refuses this user; {_GRANT}"),
    ({1665}, "cannot log what it does; set binlog_format to ROW or MIXED"),
    ({1205}, "is locked by another transaction; end whatever holds one open"),
    ({1020, 1213}, "had transactions in each other's way; try again"),
    ({1053}, "is shutting down; try again when it is back"),
    ({2002, 2003, 2005}, "does not answer; check that it runs, and HOST and PORT"),
    (LOST, "has lost the connection; try again in a moment"),
)


def number_of(error: BaseException) -> int:
    """Return the number of an error of the server or the driver; 0 if it has none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def is_collision(error: BaseException) -> bool:
    """Return True if the whole transaction may succeed when retried."""
    return number_of(error) in COLLISIONS


def is_lock_timeout(error: BaseException) -> bool:
    """Return True if waiting for a lock timed out."""
    return number_of(error) == _LOCK_TIMEOUT


def is_refusal(error: BaseException) -> bool:
    """Return True if the same statement would always fail."""
    return number_of(error) in _REFUSALS


def is_lost(error: BaseException) -> bool:
    """Return True if the connection is useless: the server has gone away or is now a replica."""
    return isinstance(error, InterfaceError) or number_of(error) in LOST or is_read_only(error)


def is_read_only(error: BaseException) -> bool:
    """Return True if a replica, or a former primary, has refused to write."""
    return number_of(error) in READ_ONLY


def explanation_of(error: BaseException) -> str:
    """Return what is wrong and what to do, as the end of a sentence; empty if that is unknown."""
    number = number_of(error)
    for numbers, explanation in _EXPLANATIONS:
        if number in numbers:
            return explanation
    if "No space left" in str(error) or "errno: 28" in str(error):
        return "cannot grow, as the disk is full; free some space"
    return "has lost the connection; try again in a moment" if is_lost(error) else ""
