"""The settings of the test suite."""

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "mainspring",
    "mainspring.backends.database",
    "tests",
]

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "tests.urls"

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
