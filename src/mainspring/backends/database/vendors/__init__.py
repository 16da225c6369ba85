"""What differs from one database to the next, a file each."""

from importlib import import_module
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks.exceptions import InvalidTaskBackend

from mainspring.backends.database.vendors.base import Dialect

__all__ = ["SUPPORTED", "Dialect", "dialect_of"]

SUPPORTED: Final = {
    "sqlite": "sqlite.SQLiteDialect",
    "postgresql": "postgresql.PostgresDialect",
    "mysql": "mysql.MySQLDialect",
}
"""By Django's vendor. Imported when needed: each imports its database's driver."""


def dialect_of(connection: BaseDatabaseWrapper) -> type[Dialect]:
    """Return the dialect of the database behind ``connection``.

    Raises ``InvalidTaskBackend`` for a database that Mainspring does not support.
    """
    if connection.vendor not in SUPPORTED:
        raise InvalidTaskBackend(
            f"DATABASES[{connection.alias!r}] is {connection.display_name}, which DatabaseBackend "
            "does not support. Route the app mainspring_database (DATABASE_ROUTERS) to a database "
            "on PostgreSQL, MariaDB, MySQL or SQLite."
        )
    module, name = SUPPORTED[connection.vendor].split(".")
    try:
        dialect: type[Dialect] = getattr(import_module(f"{__name__}.{module}"), name)
    except ImportError as error:
        raise InvalidTaskBackend(
            f"DATABASES[{connection.alias!r}] is for {connection.vendor}, whose driver is missing "
            f"or too old for DatabaseBackend ({error}). Run: pip install 'mainspring[{module}]'"
        ) from error
    return dialect
