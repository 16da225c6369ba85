"""What becomes of the things that a task may leave behind, by the way it runs.

docs/reference/isolation.md has the same table for users.
"""

from enum import StrEnum


class End(StrEnum):
    """What becomes of a thing that a task has left."""

    RESTORED = "restored"
    """No other call sees it."""
    REFUSED = "refused"
    """The call that leaves it fails, and no other call sees it."""
    STAYS = "stays"
    """The next calls see it."""


WAYS = (
    "plain",
    "row of a map",
    "merge",
    "atomic",
    "thread",
    "async",
    "embedded",
    "MemoryBackend",
    "ImmediateBackend",
)

_LETTERS = {"r": End.RESTORED, "x": End.REFUSED, "s": End.STAYS}

_ROWS = {
    "an open atomic() block": "rrrx rrrrs",
    "autocommit turned off": "rrrx rrrrs",
    "a transaction begun by SQL": "rrrx rrrrs",
    "settings of the session": "rrrr rrrrs",
    "settings of the transaction": "rrrr rrrrr",
    "search_path, USE": "rrrx rrrrs",
    "temporary tables": "rrrr rrrrs",
    "advisory locks": "rrrr rrrrs",
    "open cursors": "rrrr rrrrs",
    "the language": "rrrr rrrrr",
    "the time zone": "rrrr rrrrr",
    "context variables": "rrrr rrrrr",
    "the decimal context": "rrrr rrrrr",
    "the locale": "rrrr rrrrs",
    "the working folder": "rrrr rrrrs",
    "the umask": "rrrr rrrrs",
    "sys.path": "rrrr rrrrs",
    "the recursion limit": "rrrr rrrrs",
    "signal handlers": "rrrr xxxxs",
    "timers": "rrrr sssss",
    "the variables of a failed attempt": "rrrr rrrrr",
    "the environment": "ssss sssss",
    "filters of warnings": "ssss sssss",
    "levels of loggers": "ssss sssss",
    "threads": "ssss sssss",
    "child processes": "ssss sssss",
    "open files": "ssss sssss",
}

MATRIX: dict[str, dict[str, End]] = {
    thing: {way: _LETTERS[letter] for way, letter in zip(WAYS, row.replace(" ", ""), strict=True)}
    for thing, row in _ROWS.items()
}
