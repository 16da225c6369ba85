"""DatabaseBackend: Django's interface to the queue in the database."""

from typing import Any, ClassVar

from django.apps import apps
from django.core import checks

from mainspring.backends.base import POLICY_OPTIONS, MainspringBackend
from mainspring.backends.database.storage import DatabaseStorage
from mainspring.backends.shared import shared_storage


class DatabaseBackend(MainspringBackend):
    """Keeps jobs and results in the project's database.

    Enqueueing is part of the caller's transaction. Database routers decide which database has the
    tables, those of the app ``mainspring_database``.
    """

    supports_worker: ClassVar[bool] = True
    supports_atomic_tasks: ClassVar[bool] = True
    supports_entries: ClassVar[bool] = True

    options_supported: ClassVar[frozenset[str]] = frozenset(
        {
            "MAX_PAYLOAD",
            "ORDER",
            "RESULT_TTL",
            "LEASE",
            "LISTEN",
            "EMBEDDED",
            "THREADS",
            "GRACE",
            "QUEUE_LIMITS",
            "SCHEDULES",
            "EXPOSED_TASKS",
            *POLICY_OPTIONS,
        }
    )

    @property
    def storage(self) -> DatabaseStorage:
        """The storage verbs on the database."""
        return shared_storage(self.config, DatabaseStorage)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with the settings, the missing app included."""
        problems = super().check(**kwargs)
        if not apps.is_installed("mainspring.backends.database"):
            problems.append(
                checks.Error(
                    f"TASKS[{self.alias!r}] uses DatabaseBackend, but INSTALLED_APPS lacks "
                    "'mainspring.backends.database'.",
                    hint="Add it, then run 'manage.py migrate'.",
                    id="mainspring.E002",
                )
            )
        elif not self.config.errors:
            problems += self.storage.check()
        return problems
