"""Settings of the project; the database comes from the environment."""

import json
import os

DATABASES = {"default": json.loads(os.environ["VERSION_DATABASE"])}
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    from mainspring.bench import mysql_driver

    mysql_driver.install_for(DATABASES)
SECRET_KEY = "benchmark"  # noqa: S105
DEBUG = False
USE_TZ = True
INSTALLED_APPS = ["mainspring", "mainspring.backends.database"]
TASKS = {"default": {"BACKEND": "mainspring.backends.database.DatabaseBackend"}}
