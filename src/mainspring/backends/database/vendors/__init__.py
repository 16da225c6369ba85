"""What differs from one database to the next, a file each."""

from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.tasks.exceptions import InvalidTaskBackend

from mainspring.backends.database.vendors.base import Dialect
from mainspring.backends.database.vendors.sqlite import SQLiteDialect

__all__ = ["SUPPORTED", "Dialect", "dialect_of"]

SUPPORTED: Final[dict[str, type[Dialect]]] = {"sqlite": SQLiteDialect}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """Return the dialect of the database behind ``connection``.

    Raises ``InvalidTaskBackend`` for a database that Mainspring does not support.
    """
    try:
        return SUPPORTED[connection.vendor](connection)
    except KeyError:
        raise InvalidTaskBackend(
            f"DATABASES[{connection.alias!r}] is {connection.display_name}, which DatabaseBackend "
            "does not support yet. Route the app mainspring_database to an SQLite database "
            "(DATABASE_ROUTERS)."
        ) from None
