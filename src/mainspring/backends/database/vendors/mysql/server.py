"""What a server must be: new enough, and with tables that have transactions."""

from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.db.utils import OperationalError

from mainspring.backends.database.statements import statement

_OLDEST: Final = {"MariaDB": (10, 6), "MySQL": (8, 0, 17)}
_ID: Final = "mainspring.E004"


def problems(connection: Any) -> list[CheckMessage]:
    """Return what is wrong with the server behind ``connection``, for ``manage.py check``."""
    if old := _age(connection):
        return [Error(old, hint="Upgrade the server.", id=_ID)]
    with connection.cursor() as cursor:
        cursor.execute(statement("mysql", "engines"))
        return [
            Error(
                f"DATABASES[{connection.alias!r}] keeps {table} in {engine}, which has neither "
                "transactions nor locks on rows.",
                hint=f"Run: ALTER TABLE {table} ENGINE = InnoDB",
                id=_ID,
            )
            for table, engine in cursor.fetchall()
            if engine != "InnoDB"
        ]


def require_version(connection: Any) -> None:
    """Raise ``OperationalError`` for a server that is too old."""
    if old := _age(connection):
        raise OperationalError(old)


def _age(connection: Any) -> str:
    # What is wrong with its version; empty if nothing.
    version, oldest = connection.mysql_version, _OLDEST[connection.display_name]
    if version >= oldest:
        return ""
    found, needed = (".".join(map(str, numbers)) for numbers in (version, oldest))
    return (
        f"DATABASES[{connection.alias!r}] is {connection.display_name} {found}; Mainspring needs "
        f"{needed} or later."
    )
