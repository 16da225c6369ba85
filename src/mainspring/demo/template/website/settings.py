"""The settings: an app with a task, SQLite, and Mainspring's queue in it."""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS = [
    "mainspring",
    "mainspring.backends.database",
    "sources",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},  # writers take turns instead of colliding
    },
}

TASKS = {
    "default": {"BACKEND": "mainspring.backends.database.DatabaseBackend"},
}

USE_TZ = True
