"""What PostgreSQL's errors mean, for people."""

from typing import Final

from psycopg import errors

_EXPLANATIONS: Final = (
    ("lock timeout", "is locked by another transaction; end whatever holds one open"),
    ('database "', "cannot be opened; check NAME, or create the database"),
    ('role "', "does not know this user; check USER"),
    ('relation "mainspring', "lacks Mainspring's tables; run 'manage.py migrate'"),
    ("does not exist", "has Mainspring's tables of another version; run 'manage.py migrate'"),
    ("too many", "has no connection left; raise max_connections or lower CONN_MAX_AGE"),
    ("remaining connection slots", "has no connection left; raise max_connections"),
    ("No space left", "cannot grow, as the disk is full; free some space"),
    ("read-only", "is read-only, as a standby is; connect to the primary"),
    ("permission denied", "does not let this user in; grant it the rights on mainspring_* tables"),
    ("password authentication", "refuses this user's password"),
    ("starting up", "is starting up; try again in a moment"),
    ("shutting down", "is shutting down; try again when it is back"),
    ("terminating connection", "has closed the connection; try again in a moment"),
    ("Connection refused", "does not answer; check that it runs, and HOST and PORT"),
    ("No such file", "does not answer; check that it runs, and HOST and PORT"),
    ("resolve host", "cannot be found; check HOST"),
    ("connection", "has lost the connection; try again in a moment"),
)


def is_refusal(error: BaseException | None) -> bool:
    """Return True if a server limit was exceeded. The limit of 1 GB raises an internal error."""
    return isinstance(error, errors.ProgramLimitExceeded) or (
        isinstance(error, errors.InternalError_) and "memory alloc request size" in str(error)
    )


def explanation_of(error: Exception, alias: str) -> str:
    """Return one line that says what is wrong with a database and what to do."""
    text = " ".join(str(error).split())
    name = f"The PostgreSQL database {alias!r}"
    for sign, explanation in _EXPLANATIONS:
        if sign in text:
            return f"{name} {explanation} ({text})."
    return f"{name} raised {type(error).__name__}: {text}."
