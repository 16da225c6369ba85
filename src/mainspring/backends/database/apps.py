"""The Django app that owns the tables."""

from collections.abc import Sequence
from typing import Any, cast

from django.apps import AppConfig
from django.core import checks
from django.db import connections
from django.db.models.signals import post_migrate
from django.tasks import task_backends


class DatabaseConfig(AppConfig):
    """Tables and admin of :class:`~mainspring.backends.database.DatabaseBackend`."""

    name = "mainspring.backends.database"
    label = "mainspring_database"
    verbose_name = "Mainspring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the database made ready for many writers after each ``migrate``."""
        post_migrate.connect(_prepare_database, sender=self)
        checks.register(_check_servers, checks.Tags.database)


def _check_servers(
    app_configs: Any = None,  # noqa: ARG001 # Django's name
    databases: Sequence[str] | None = None,
    **_kwargs: Any,
) -> list[checks.CheckMessage]:
    # Where Django may ask the databases: in `migrate`, and in `check --database`.
    from mainspring.backends.database.backend import DatabaseBackend

    storages = {
        backend.storage.alias: backend.storage
        for backend in cast("list[Any]", task_backends.all())
        if isinstance(backend, DatabaseBackend) and not backend.config.errors
    }
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        if alias in storages:
            found += storages[alias].check_server()
    return found


def _prepare_database(*, using: str, **_kwargs: Any) -> None:
    from mainspring.backends.database import vendors
    from mainspring.backends.database.models import StoredJob

    connection = connections[using]
    if connection.vendor in vendors.SUPPORTED and (
        StoredJob._meta.db_table in connection.introspection.table_names()
    ):
        vendors.dialect_of(connection).prepare_database(connection)
