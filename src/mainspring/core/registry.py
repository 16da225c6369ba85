"""The tasks of this process by import path: all that a path from a store is ever resolved to."""

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.tasks.exceptions import InvalidTask

from mainspring.core.origins import Origin, origin_of
from mainspring.exceptions import TaskNotFound

if TYPE_CHECKING:
    from mainspring.core.tasks import Task

_tasks: dict[str, "Task[..., Any]"] = {}
_origins: dict[str, Origin] = {}  # by path


def register(path: str, task: "Task[..., Any]") -> None:
    """Register the task declared under ``path``; copies by ``using()`` change nothing.

    A module that is run again, for example by ``importlib.reload()`` or at a prompt, may declare
    its tasks again. Raises ``InvalidTask`` if one run declares two functions under one path.
    """
    known = _tasks.get(path)
    if known is task:
        return
    if known is None or known.func is not task.func:
        origin = origin_of(task.func)
        if known is not None:
            _require_rerun(path, _origins.get(path), origin)
        _origins[path] = origin
    elif type(known) is type(task):
        return
    _tasks[path] = task


def _require_rerun(path: str, known: Origin | None, new: Origin) -> None:
    if known is None or not known.is_same_run(new):
        return
    where = (
        f"both at {new.place}"
        if known.place == new.place
        else f"one at {known.place}, the other at {new.place}"
    )
    raise InvalidTask(
        f"Two different functions are declared as the task {path!r}: {where}. Workers find a task "
        "by the import path of its function, so calls of one would run the other. Rename one of "
        "them; a function made with functools.wraps() needs a __qualname__ of its own before it "
        "becomes a task."
    )


def original(path: str, task: "Task[..., Any]") -> "Task[..., Any] | None":
    """Return the declared task that ``task`` is or is a copy of; None if it is a new one."""
    known = _tasks.get(path)
    is_same = known is not None and known.func is task.func and type(known) is type(task)
    return known if is_same else None


def declared(path: str) -> "Task[..., Any] | None":
    """Return the task declared under ``path`` in a module that is imported, or None."""
    return _tasks.get(path)


def tasks() -> "list[Task[..., Any]]":
    """Return the tasks declared in the modules that are imported."""
    return list(_tasks.values())


def resolve(path: str, trusted_module: str | None = None) -> "Task[..., Any]":
    """Return the task declared under ``path``, importing the module that declares it if need be.

    A path comes from a store, so no module is imported for it but those of the project: below an
    installed app, or below the package of the settings or of the root URLconf; and
    ``trusted_module``.

    Raises :class:`~mainspring.exceptions.TaskNotFound`, with the reason.
    """
    if (task := _tasks.get(path)) is not None:
        return task
    _import_for(path, trusted_module)
    if (task := _tasks.get(path)) is not None:
        return task
    raise TaskNotFound(f"There is no task {path!r}: its module declares no task of that name.")


def _import_for(path: str, trusted_module: str | None) -> None:
    missing: ModuleNotFoundError | None = None
    for module in _possible_modules(path) if trusted_module is None else (trusted_module,):
        if module in sys.modules:
            break
        if trusted_module is None and not _belongs_to_project(module):
            raise TaskNotFound(
                f"There is no task {path!r}: {module!r} is not part of an installed app. Add the "
                "app to INSTALLED_APPS, or import the module in an AppConfig.ready()."
            ) from missing
        try:
            import_module(module)
            break
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):  # it is there; what it imports is not
                raise _not_importable(path, module, error) from error
            missing = missing or error
        except (Exception, SystemExit) as error:  # whatever the module's own code raises
            raise _not_importable(path, module, error) from error
    if missing is not None and path not in _tasks:
        raise _not_importable(path, missing.name or "", missing) from missing


def _possible_modules(path: str) -> Iterator[str]:
    # "app.tasks", of "app.tasks.Reports", of "app.tasks.Reports.monthly": a static method has its
    # class in the path.
    while path := path.rpartition(".")[0]:
        yield path


def _not_importable(path: str, module: str, error: BaseException) -> TaskNotFound:
    return TaskNotFound(
        f"There is no task {path!r} for now: importing {module!r} raised "
        f"{type(error).__name__}: {error}"
    )


def _belongs_to_project(module: str) -> bool:
    roots = {config.name for config in apps.get_app_configs()}
    for name in (settings.SETTINGS_MODULE, getattr(settings, "ROOT_URLCONF", None)):
        if name and "." in name:
            roots.add(name.partition(".")[0])
    return any(module == root or module.startswith(f"{root}.") for root in roots)
