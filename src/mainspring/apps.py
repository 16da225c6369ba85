"""The Django app: the command, the checks and the embedded workers of web processes."""

import os
import sys
from typing import Any

from django.apps import AppConfig
from django.core.signals import request_started
from django.tasks import task_backends
from django.utils import autoreload


class MainspringConfig(AppConfig):
    """Add ``mainspring`` to ``INSTALLED_APPS`` to have it."""

    name = "mainspring"
    verbose_name = "Mainspring"

    def ready(self) -> None:
        """Start embedded workers where this process serves requests, at its first at the latest."""
        request_started.connect(_request_started, dispatch_uid="mainspring.embedded")
        if _is_server():
            start_embedded_workers()


def start_embedded_workers() -> None:
    """Start the workers of all backends with the option ``EMBEDDED``, unless they run."""
    from mainspring.backends.base import MainspringBackend
    from mainspring.backends.shared import start_embedded_worker

    for backend in task_backends.all():
        if isinstance(backend, MainspringBackend) and backend.config.options.embedded:
            start_embedded_worker(backend.alias)


def _request_started(**_kwargs: Any) -> None:
    if not _is_test():
        start_embedded_workers()


def _is_test() -> bool:
    # Requests of Django's test client are no reason to run tasks.
    testing = sys.modules.get("django.test.utils")
    return testing is not None and hasattr(testing._TestState, "saved_data")


def _is_server() -> bool:
    # wsgi.py and asgi.py import these; other commands do not. runserver imports them later, in
    # the process that its reloader starts.
    if "runserver" in sys.argv[1:2]:
        return (
            "--noreload" in sys.argv or os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"
        )
    return "django.core.wsgi" in sys.modules or "django.core.asgi" in sys.modules
