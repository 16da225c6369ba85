"""The Django app that owns the tables."""

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class DatabaseConfig(AppConfig):
    """Tables and admin of :class:`~mainspring.backends.database.DatabaseBackend`."""

    name = "mainspring.backends.database"
    label = "mainspring_database"
    verbose_name = "Mainspring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the database made ready for many writers after each ``migrate``."""
        post_migrate.connect(_prepare_database, sender=self)


def _prepare_database(*, using: str, **_kwargs: Any) -> None:
    from mainspring.backends.database import vendors
    from mainspring.backends.database.models import StoredJob

    connection = connections[using]
    if connection.vendor in vendors.SUPPORTED and (
        StoredJob._meta.db_table in connection.introspection.table_names()
    ):
        vendors.dialect_of(connection).prepare_database(connection)
