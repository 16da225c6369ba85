"""DatabaseBackend: the queue in the project's own database.

Also a Django app: add ``mainspring.backends.database`` to ``INSTALLED_APPS`` for its tables.
"""

from mainspring.backends.database.backend import DatabaseBackend

__all__ = ["DatabaseBackend"]
