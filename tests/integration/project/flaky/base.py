"""SQLite, with trouble while a file of that name is in the site's folder.

``broken``: whoever connects dies of an error that no database raises. ``readonly``, ``full``:
SQLite itself refuses to write, or to grow.
"""

import sqlite3
from typing import Any

from django.conf import settings
from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """SQLite with trouble."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, or raise."""
        if (settings.FOLDER / "broken").exists():
            raise RuntimeError("broken by the test")
        return super().get_new_connection({**conn_params, "factory": _Connection})

    def create_cursor(self, name: str | None = None) -> Any:
        """Have SQLite refuse what it is to refuse now."""
        cursor = super().create_cursor(name)
        if (settings.FOLDER / "readonly").exists():
            # For as long as the connection lives: as with a file that could only be read when it
            # was opened.
            cursor.execute("PRAGMA query_only = 1")
        cursor.execute(_limit())
        return cursor


class _Connection(sqlite3.Connection):
    """For those who go past Django's cursor."""

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Have SQLite refuse to grow, if it is to."""
        super().execute(_limit())
        return super().execute(*args)


def _limit() -> str:
    is_full = (settings.FOLDER / "full").exists()
    return f"PRAGMA max_page_count = {1 if is_full else 2**30}"
