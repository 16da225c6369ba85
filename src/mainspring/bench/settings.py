"""The settings of the benchmarks' own Django project; the database's file comes from outside."""

import os

SECRET_KEY = "benchmark"  # noqa: S105
DEBUG = False
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["MAINSPRING_BENCH_DATABASE"],
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
INSTALLED_APPS = ["mainspring", "mainspring.backends.database"]
TASKS = {"default": {"BACKEND": "mainspring.backends.database.DatabaseBackend"}}
