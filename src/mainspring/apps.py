"""The Django app: the command, the checks and the embedded workers."""

from django.apps import AppConfig


class MainspringConfig(AppConfig):
    """Add ``mainspring`` to ``INSTALLED_APPS`` to have it."""

    name = "mainspring"
    verbose_name = "Mainspring"
