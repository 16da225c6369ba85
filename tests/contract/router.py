"""The router that decides where Mainspring's tables live; light, as many processes import it."""

from typing import Any

STORE = "store"
"""The alias in ``DATABASES`` of the database that has the tables."""


class StoreRouter:
    """Sends Mainspring's tables, and nothing else, to the store."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return STORE if model._meta.app_label == "mainspring_database" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        is_ours = app_label == "mainspring_database"
        return is_ours if db == STORE or is_ours else None
