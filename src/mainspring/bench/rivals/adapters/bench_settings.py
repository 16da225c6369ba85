"""The settings of the rivals that are Django apps."""

# mypy: ignore-errors

import json
import os

from bench_url import django_database

SECRET_KEY = "benchmark"  # noqa: S105
DEBUG = False
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_url = os.environ["MAINSPRING_BENCH_URL"]
_options = json.loads(os.environ.get("MAINSPRING_BENCH_OPTIONS", "{}"))
_apps, _backend = {
    "django-tasks-db": (["django_tasks_db"], "django_tasks_db.DatabaseBackend"),
    "django-ox": (["django_ox"], "django_ox.backend.OxBackend"),
    "dj-queue": (["dj_queue"], "dj_queue.backend.DjQueueBackend"),
    "django-vtasks": (
        ["django_vtasks", "django_vtasks.db"],
        "django_vtasks.backends.db.DatabaseTaskBackend",
    ),
    "threadmill": (["threadmill"], "threadmill.backends.redis.RedisTaskBackend"),
}[os.environ["MAINSPRING_BENCH_RIVAL"]]

INSTALLED_APPS = ["django.contrib.contenttypes", *_apps]
TASKS = {"default": {"BACKEND": _backend, "QUEUES": ["default"], "OPTIONS": _options}}
if _url.startswith("postgres"):
    DATABASES = {"default": django_database(_url)}
else:
    DATABASES = {}
    TASKS["default"]["REDIS_URL"] = _url
if "dj_queue" in _apps:
    DATABASE_ROUTERS = ["dj_queue.routers.DjQueueRouter"]
if "django_vtasks" in _apps:
    VTASKS_QUEUES = {"default": {}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    # Those that set a level of their own would write a line for every task.
    "loggers": {
        name: {"level": "WARNING"}
        for name in ("django.tasks", "django_ox", "django_tasks_db", "django_vtasks", "dj_queue")
    },
}
