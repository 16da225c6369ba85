"""The settings that the type checker's Django plugin reads models with; nothing else uses them."""

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "mainspring",
    "mainspring.backends.database",
]
SECRET_KEY = "for type checking only"
USE_TZ = True
