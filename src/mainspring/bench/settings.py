"""The settings of the benchmarks' own Django project; the database comes from outside."""

import json
import os

from mainspring.bench import mysql_driver

SECRET_KEY = "benchmark"  # noqa: S105
DEBUG = False
USE_TZ = True
DATABASES = {"default": json.loads(os.environ["MAINSPRING_BENCH_DATABASE"])}
INSTALLED_APPS = ["mainspring", "mainspring.backends.database"]
if processes := os.environ.get("MAINSPRING_BENCH_MEMORY"):
    TASKS = {
        "default": {
            "BACKEND": "mainspring.backends.memory.MemoryBackend",
            "OPTIONS": {"PROCESSES": int(processes)},
        }
    }
else:
    TASKS = {
        "default": {
            "BACKEND": "mainspring.backends.database.DatabaseBackend",
            "OPTIONS": {"ORDER": os.environ.get("MAINSPRING_BENCH_ORDER", "lifo")},
        }
    }
mysql_driver.install_for(DATABASES)
