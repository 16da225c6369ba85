"""The settings of Mainspring's own project beside its rivals; the database comes from outside."""

import os

from mainspring.bench.rivals.adapters.bench_url import django_database

SECRET_KEY = "benchmark"  # noqa: S105
DEBUG = False
USE_TZ = True
DATABASES = {"default": django_database(os.environ["MAINSPRING_BENCH_URL"])}
INSTALLED_APPS = ["mainspring", "mainspring.backends.database"]
TASKS = {"default": {"BACKEND": "mainspring.backends.database.DatabaseBackend"}}
