"""The settings of the test suite."""

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "mainspring",
    "mainspring.backends.database",
    "tests",
]

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}

TASKS = {
    "default": {
        "BACKEND": "mainspring.backends.immediate.ImmediateBackend",
        "QUEUES": ["default", "mail"],
    },
    "anyqueue": {
        "BACKEND": "mainspring.backends.immediate.ImmediateBackend",
        "QUEUES": [],
    },
    # Of the unit tests: keeps what is enqueued, and runs nothing.
    "kept": {"BACKEND": "tests.unit.backends.KeptBackend"},
    "audited": {"BACKEND": "tests.unit.backends.AuditedBackend"},
    "django": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"},
}
