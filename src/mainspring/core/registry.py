"""The tasks of this process by import path: all that a path from a store is ever resolved to."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings

from mainspring.exceptions import TaskNotFound

if TYPE_CHECKING:
    from mainspring.core.tasks import Task

_tasks: dict[str, "Task[..., Any]"] = {}


def register(path: str, task: "Task[..., Any]") -> None:
    """Keep the task that was declared under ``path``; copies by ``using()`` change nothing."""
    known = _tasks.get(path)
    if known is None or known.func is not task.func:
        _tasks[path] = task


def declared(path: str) -> "Task[..., Any] | None":
    """Return the task declared under ``path`` in a module that is imported, or None."""
    return _tasks.get(path)


def resolve(path: str) -> "Task[..., Any]":
    """Return the task declared under ``path``, importing the module that declares it if need be.

    A path comes from a store, so no module is imported for it but those of the project: below an
    installed app, or below the package of the settings or of the root URLconf.

    Raises :class:`~mainspring.exceptions.TaskNotFound`, with the reason.
    """
    if (task := _tasks.get(path)) is not None:
        return task
    module = path.rpartition(".")[0]
    if module not in sys.modules:
        _import(module, path)
    if (task := _tasks.get(path)) is not None:
        return task
    raise TaskNotFound(f"There is no task {path!r}: its module declares no task of that name.")


def _import(module: str, path: str) -> None:
    if not _belongs_to_project(module):
        raise TaskNotFound(
            f"There is no task {path!r}: {module!r} is not part of an installed app. Add the app "
            "to INSTALLED_APPS, or import the module in an AppConfig.ready()."
        )
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 # whatever the module's own code raises
        raise TaskNotFound(
            f"There is no task {path!r} for now: importing {module!r} raised "
            f"{type(error).__name__}: {error}"
        ) from error


def _belongs_to_project(module: str) -> bool:
    roots = {config.name for config in apps.get_app_configs()}
    for name in (settings.SETTINGS_MODULE, getattr(settings, "ROOT_URLCONF", None)):
        if name and "." in name:
            roots.add(name.partition(".")[0])
    return any(module == root or module.startswith(f"{root}.") for root in roots)
