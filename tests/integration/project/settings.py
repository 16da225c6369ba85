"""Settings of a small site, of which the tests run workers.

The environment variable SITE holds what differs from test to test, as JSON.
"""

import json
import os
from pathlib import Path

_site = json.loads(os.environ["SITE"])

FOLDER = Path(_site["folder"])
SECRET_KEY = "only for tests"
USE_TZ = True
DEBUG = _site.get("debug", False)
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"

INSTALLED_APPS = ["mainspring", "mainspring.backends.database", "jobs", *_site.get("apps", ())]

DATABASES = {
    "default": _site.get("database")
    or {
        "ENGINE": _site.get("wrapper", "django.db.backends.sqlite3"),
        "NAME": FOLDER / "db.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DATABASES["default"].update(_site.get("connections", {}))
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    from mainspring.bench import mysql_driver

    mysql_driver.install()

TASKS = {
    "default": {
        "BACKEND": "mainspring.backends.database.DatabaseBackend",
        "QUEUES": [],
        "OPTIONS": _site.get("options", {}),
    },
    **_site.get("tasks", {}),
}

LOGGING = (
    {}
    if not _site.get("logging", True)
    else {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "jsonlog.JsonFormatter"}},
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "filename": FOLDER / "log.jsonl",
                "formatter": "json",
            }
        },
        "loggers": {
            "mainspring": {"handlers": ["file"], "level": "DEBUG"},
            "django.tasks": {"handlers": ["file"], "level": _site.get("tasks_log", "WARNING")},
        },
    }
)
